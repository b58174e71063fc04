package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// electPreferred moves a topic's leaders back to brokers that were dead.
func (k *cluster) electPreferred(t testing.TB, topic string) (before, after []int32, moved bool) {
	t.Helper()
	a := k.admin(t)
	leaders := func() (at []int32, preferred bool) {
		md, err := a.GetMetadata(&topic, false, 5000)
		if err != nil {
			return nil, false
		}
		preferred = true
		for _, p := range md.Topics[topic].Partitions {
			at = append(at, p.Leader)
			preferred = preferred && p.Leader == p.Replicas[0]
		}
		return at, preferred
	}
	before, already := leaders()
	eventually(t, 60*time.Second, "the preferred leaders", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, err := a.ElectLeaders(ctx, kafka.NewElectLeadersRequest(kafka.ElectionTypePreferred, nil))
		_, preferred := leaders()
		return err == nil && preferred
	})
	after, _ = leaders()
	return before, after, !already
}

// freeze stops broker n while f runs.
func (k *cluster) freeze(t testing.TB, n int, f func()) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(k.dir, strconv.Itoa(n), "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(pid, syscall.SIGCONT)
	f()
}
