package ingest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tapecast/ingest/route"
)

// The brokers say for a while that a topic does not exist, or that we may not describe it.
// No record is lost, and no epoch begins.
func TestConsumerTopicHidden(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "a"), kfake.SeedTopics(1, "b"))
	r := newRig(t, k.ListenAddrs(), Config{Consumers: 2}, allOf("a"),
		route.Route{Topic: "b", Rooms: []string{"more"}}).start().ready()
	m, more := r.join("all"), r.join("more")
	w := newWriter(t, k.ListenAddrs(), nil)
	w.numbers("a", 2, 0, 10)
	w.numbers("b", 1, 0, 10)
	m.wait(10)
	more.wait(10)
	for i, f := range []struct {
		err  *kerr.Error
		says string
	}{
		{kerr.UnknownTopicOrPartition, `topic "a": does not exist`},
		{kerr.TopicAuthorizationFailed, `topic "a": Broker: Topic authorization failed`},
	} {
		hide := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata, kmsg.DescribeTopicPartitions}, Topic: "a",
			Err: f.err, Count: -1})
		eventually(t, "said to be away", func() bool {
			ok, detail := r.c.Health()
			return !ok && strings.HasPrefix(detail, f.says)
		})
		w.numbers("b", 1, 10*i+10, 10*i+20)
		checkNumbers(t, more.wait(10*i+20), 0, 10*i+20) // reading goes on meanwhile
		hide.Remove()
		newWriter(t, k.ListenAddrs(), nil).numbers("a", 2, 10*i+10, 10*i+20)
		checkNumbers(t, m.wait(10*i+20), 0, 10*i+20)
		eventually(t, "well again", func() bool { ok, _ := r.c.Health(); return ok })
	}
	if s := r.c.Stats(); s.Resets != 0 || s.Partitions != 3 {
		t.Errorf("stats %+v", s)
	}
}

// TestConsumerTopicHalfBack: a topic exists again, and one of its readers cannot take its share
// yet. No record is read twice or left out, and the watcher tends the topic as before.
func TestConsumerTopicHalfBack(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "a"), kfake.SeedTopics(1, "b"))
	r := newRig(t, k.ListenAddrs(), Config{Consumers: 2}, allOf("a"),
		route.Route{Topic: "b", Rooms: []string{"more"}}).start().ready()
	m := r.join("all")
	numbers := func(from, to int) { newWriter(t, k.ListenAddrs(), nil).numbers("a", 2, from, to) }
	numbers(0, 10)
	m.wait(10)
	said := func(what string) {
		t.Helper()
		eventually(t, "said: "+what, func() bool {
			_, detail := r.c.Health()
			return strings.HasPrefix(detail, `topic "a": `+what)
		})
	}
	hidden := func() (show func()) {
		return k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata, kmsg.DescribeTopicPartitions}, Topic: "a",
			Err: kerr.UnknownTopicOrPartition, Count: -1}).Remove
	}
	show := hidden()
	said(absentTopic)
	// That reader's next client would read topic b twice, which librdkafka refuses.
	lame := r.c.readers[1]
	fault := func(on bool) {
		_ = lame.do(func() error {
			lame.mu.Lock()
			defer lame.mu.Unlock()
			if delete(lame.readings, "fault"); on {
				lame.readings["fault"] = lame.readings["b"]
				lame.worn.Store(true)
			}
			return nil
		})
	}
	fault(true)
	show()
	said("1 partitions cannot be assigned yet")
	show = hidden()
	said(absentTopic)
	show()
	said("1 partitions cannot be assigned yet")
	numbers(10, 20)
	fault(false)
	checkNumbers(t, m.wait(20), 0, 20)
	addPartitions(t, newWriter(t, k.ListenAddrs(), nil), "a", 4)
	eventually(t, "read whole", func() bool { ok, _ := r.c.Health(); return ok && r.c.Stats().Partitions == 5 })
	numbers(20, 30)
	checkNumbers(t, m.wait(30), 0, 30)
}

// TestAbsentTopicForgiven: a topic does not exist. One look gives another error for it. After
// that a gateway may be ready without it again.
func TestAbsentTopicForgiven(t *testing.T) {
	c, a := &Consumer{log: slogTo(&logBuffer{})}, &topic{name: "a"}
	f := func(code kafka.ErrorCode, forgiven bool) {
		t.Helper()
		_ = c.tend(a, "c1", &kafka.TopicDescription{Name: "a", Error: kafka.NewError(code, "", false)})
		if got := a.forgiven(time.Now().Add(forgivenAfter)); got != forgiven {
			t.Errorf("after %v: forgiven %t", code, got)
		}
	}
	f(kafka.ErrUnknownTopicOrPart, true)
	f(kafka.ErrTopicAuthorizationFailed, false)
	f(kafka.ErrUnknownTopicOrPart, true)
	since := a.absent
	f(kafka.ErrUnknownTopicOrPart, true)
	if !a.absent.Equal(since) {
		t.Error("absent was set again by the last look")
	}
}

// A partition without a leader waits; the others are read.
func TestConsumerPartitionWithoutLeader(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "a"))
	away := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "a", Partitions: []int32{1},
		Err: kerr.InvalidRequest, Count: -1})
	w := newWriter(t, k.ListenAddrs(), nil)
	w.numbers("a", 2, 0, 10)
	w.flush()
	r := newRig(t, k.ListenAddrs(), Config{Start: "beginning"}, allOf("a"))
	m := r.join("all")
	r.start()
	if got := datas(m.wait(5)); !slices.Equal(got, []string{`{"n":0}`, `{"n":2}`, `{"n":4}`, `{"n":6}`, `{"n":8}`}) {
		t.Errorf("read %v", got)
	}
	if ok, detail := r.c.Health(); ok || detail != `topic "a": 1 partitions cannot be assigned yet` {
		t.Errorf("health %v, %s", ok, detail)
	}
	if r.c.Ready() {
		t.Error("ready with a partition missing")
	}
	away.Remove()
	checkNumbers(t, m.wait(10), 0, 10)
	r.ready()
}

func TestConsumerReadsUncommitted(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "a"))
	r := newRig(t, k.ListenAddrs(),
		Config{Librdkafka: map[string]string{"isolation.level": "read_uncommitted", "debug": "broker"}},
		allOf("a")).start().ready()
	m := r.join("all")
	transact(t, k.ListenAddrs(), "a")
	if got := datas(m.wait(6)); !slices.Equal(got, []string{"1", "2", "3", "4", "5", "6"}) {
		t.Errorf("read %v", got)
	}
}
