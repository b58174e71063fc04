package ingest

import (
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"

	"tapecast/ingest/route"
)

// Readers doubt their topic again and again while records flow. The records that they
// throw away are read again, and none comes twice.
func TestConsumerDoubts(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(4, "a"))
	r := newRig(t, k.ListenAddrs(), Config{Consumers: 2}, allOf("a")).start().ready()
	m := r.join("all")
	w := newWriter(t, k.ListenAddrs(), nil)
	for round := range 12 {
		w.numbers("a", 4, 500*round, 500*round+500)
		for _, rd := range r.c.readers {
			rd.mu.Lock()
			rd.doubt(rd.readings["a"], "")
			rd.mu.Unlock()
		}
		if round%4 == 0 {
			eventually(t, "settled", func() bool { return len(m.read()) >= 500*round })
		}
	}
	checkNumbers(t, m.wait(6000), 0, 6000)
}

// A new client reads a partition that librdkafka does not fetch any more.
func TestConsumerStalledPartition(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "a"), kfake.SeedTopics(1, "b"))
	r := newRig(t, k.ListenAddrs(), Config{}, allOf("a"), route.Route{Topic: "b", Rooms: []string{"more"}})
	r.c.stallAfter = 2 * time.Second
	r.start().ready()
	m, more := r.join("all"), r.join("more")
	w := newWriter(t, k.ListenAddrs(), nil)
	w.numbers("a", 2, 0, 10)
	m.wait(10)
	rd, topic := r.c.readers[0], "a"
	if err := rd.do(func() error {
		return rd.client.Pause([]kafka.TopicPartition{{Topic: &topic,
			Partition: 1}})
	}); err != nil {
		t.Fatal(err)
	}
	w.numbers("a", 2, 10, 100)
	w.numbers("b", 1, 0, 5)
	checkNumbers(t, m.wait(100), 0, 100)
	checkNumbers(t, more.wait(5), 0, 5)
	if n := r.c.Stats().Stalls; n != 1 {
		t.Errorf("%d stalls", n)
	}
}

// A reader hears of a new topic id that the brokers do not confirm.
func TestConsumerDoubtIsNotConfirmed(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "a"))
	r := newRig(t, k.ListenAddrs(), Config{}, allOf("a"))
	r.c.doubtFor = time.Second
	r.start().ready()
	m := r.join("all")
	w := newWriter(t, k.ListenAddrs(), nil)
	w.numbers("a", 1, 0, 5)
	m.wait(5)
	rd := r.c.readers[0]
	rd.logged(kafka.LogEvent{Message: "[thrd:main]: Topic a changed id from it to someOtherId"})
	rd.logged(kafka.LogEvent{Message: "[thrd:main]: Topic unknown changed id from it to x"})
	began := time.Now()
	w.numbers("a", 1, 5, 10)
	checkNumbers(t, m.wait(10), 0, 10)
	if took := time.Since(began); took < r.c.doubtFor {
		t.Errorf("records come %v after the doubt, want at least %v", took, r.c.doubtFor)
	}
}

func TestParseChangedID(t *testing.T) {
	f := func(line, name, id string, ok bool) {
		t.Helper()
		if n, i, o := parseChangedID(line); n != name || o != ok || ok && i != id {
			t.Errorf("%q: %q %q %v", line, n, i, o)
		}
	}
	f("[thrd:main]: Topic a.b changed id from AAAA to BBBB", "a.b", "BBBB", true)
	f("[thrd:main]: Topic a.b partition count changed from 1 to 2", "", "", false)
	f("nothing", "", "", false)
}
