package e2e

import (
	"bytes"
	"context"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// record is one record of a topic as the separate reader sees it.
type record struct {
	offset     int64
	ts         int64
	key, value []byte
	tombstone  bool
}

// read returns the whole of a topic, by partition, read by a consumer of the test's own.
func (k *cluster) read(t testing.TB, topic string) [][]record {
	t.Helper()
	topic = k.name(topic)
	c, err := kafka.NewConsumer(&kafka.ConfigMap{
		"bootstrap.servers":       k.brokers,
		"group.id":                "e2e-reader",
		"enable.metrics.push":     false,
		"log_level":               0,
		"enable.auto.commit":      false,
		"enable.partition.eof":    true,
		"auto.offset.reset":       "error",
		"fetch.message.max.bytes": 10_000_000,
		"isolation.level":         "read_committed",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	md, err := c.GetMetadata(&topic, false, 20_000)
	if err != nil {
		t.Fatalf("cannot read %s: %v", topic, err)
	}
	n := len(md.Topics[topic].Partitions)
	var parts []kafka.TopicPartition
	for p := range n {
		parts = append(parts, kafka.TopicPartition{Topic: &topic, Partition: int32(p), Offset: kafka.OffsetBeginning})
	}
	if err := c.Assign(parts); err != nil {
		t.Fatalf("cannot read %s: %v", topic, err)
	}
	out := make([][]record, n)
	open := n
	for end := time.Now().Add(2 * time.Minute); open > 0; {
		if time.Now().After(end) {
			t.Fatalf("cannot read %s to its end within 2 minutes", topic)
		}
		switch ev := c.Poll(200).(type) {
		case *kafka.Message:
			p := ev.TopicPartition.Partition
			out[p] = append(out[p],
				record{int64(ev.TopicPartition.Offset), ev.Timestamp.UnixMilli(), ev.Key, ev.Value, ev.Value == nil})
		case kafka.PartitionEOF:
			open--
		case kafka.Error:
			if ev.IsFatal() {
				t.Fatalf("cannot read %s: %v", topic, ev)
			}
		}
	}
	return out
}

// ends returns the offset of the last record of each partition.
func ends(recs [][]record) map[int32]int64 {
	at := map[int32]int64{}
	for p := range recs {
		at[int32(p)] = -1
		if n := len(recs[p]); n > 0 {
			at[int32(p)] = recs[p][n-1].offset
		}
	}
	return at
}

// partitionOf returns a key's partition, so that the test knows it beforehand.
func partitionOf(key string, partitions int32) int32 {
	return int32(crc32.ChecksumIEEE([]byte(key)) % uint32(partitions))
}

// sameAsTopic compares the frames of a room with the topic. The client was in the room from
// before the first record until after the last.
func sameAsTopic(t testing.TB, c *client, name string, topic [][]record) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	next := make([]int, len(topic))
	for _, f := range c.rooms[name].frames {
		if int(f.part) >= len(topic) || next[f.part] >= len(topic[f.part]) {
			t.Fatalf("client %s: frame %d:%d is not in the topic", c.name, f.part, f.off)
		}
		r := topic[f.part][next[f.part]]
		next[f.part]++
		if f.off != r.offset || f.ts != r.ts || !bytes.Equal(f.data, r.value) {
			t.Fatalf("client %s: frame %d:%d at %d is not record %d at %d: %.200q, want %.200q", c.name, f.part, f.off,
				f.ts, r.offset, r.ts, f.data, r.value)
		}
	}
	for p := range next {
		if next[p] != len(topic[p]) {
			t.Fatalf("client %s has %d of %d records of partition %d", c.name, next[p], len(topic[p]), p)
		}
	}
}

// summed is a record's position, with the checksum of its value.
type summed struct {
	part int32
	off  int64
	sum  uint32
}

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
