package ingest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"

	"tapecast/ingest/route"
	"tapecast/rooms"
)

// allOf routes a topic to the room "all".
func allOf(topic string) route.Route {
	return route.Route{Topic: topic, Rooms: []string{"all"}, Type: "x"}
}

func TestConsumerReadsAll(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(2), kfake.SeedTopics(5, "a"), kfake.SeedTopics(1, "b"))
	w := newWriter(t, k.ListenAddrs(), nil)
	w.numbers("a", 5, 0, 500)
	w.flush()
	r := newRig(t, k.ListenAddrs(), Config{Start: "beginning", Consumers: 3}, allOf("a"),
		route.Route{Topic: "b", Rooms: []string{"own:{@key}"}, Type: "y", Partitioner: "murmur2"})
	if r.c.Ready() {
		t.Error("ready before the start")
	}
	if ok, _ := r.c.Health(); ok {
		t.Error("healthy before the start")
	}
	m := r.join("all")
	r.start().ready()
	own := r.join("own:42")
	w.numbers("a", 5, 500, 1000)
	w.put("b", 0, "42", `{"x":1}`)
	checkNumbers(t, m.wait(1000), 0, 1000)
	if got := own.wait(1)[0]; !strings.Contains(got, `"room":"own:42","type":"y","pos":"0:0"`) {
		t.Errorf("private frame %s", got)
	}
	micros, b := time.UnixMilli(time.Now().UnixMicro()), "b" // from the year 57,000 or so
	w.send(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &b, Partition: 0},
		Key: []byte("42"), Value: []byte(`{"x":2}`), Timestamp: micros})
	own.wait(2)
	if ok, detail := r.c.Health(); !ok || detail != "reading 2 topics with 6 partitions" {
		t.Errorf("health %v, %s", ok, detail)
	}
	eventually(t, "without lag", func() bool { s := r.c.Stats(); return s.Lag["a"] == 0 && s.Processed == 1002 })
	s := r.c.Stats()
	if s.Partitions != 6 || s.Bytes == 0 || s.Repeated != 0 || s.Misplaced != 0 || s.Resets != 0 ||
		s.Gaps != 0 || len(s.Lag) != 2 {
		t.Errorf("stats %+v", s)
	}
	topics := map[string]TopicStats{}
	for _, x := range s.Topics {
		topics[x.Topic] = x
	}
	of, beside := topics["a"], topics["b"]
	if of.Records != 1000 || beside.Records != 2 || of.Bytes+beside.Bytes != s.Bytes ||
		beside.Bytes != 2*uint64(len(`42{"x":1}`)) || s.Readers != 3 {
		t.Errorf("by topic %+v, stats %+v", s.Topics, s)
	}
	for _, x := range topics {
		if age := time.Since(time.UnixMilli(x.Newest)); age < 0 || age > time.Minute {
			t.Errorf("the newest record of %s is %v old", x.Topic, age)
		}
	}
	if of.Ahead != 0 || beside.Ahead != 1 {
		t.Errorf("%d and %d records are ahead, want 0 and 1", of.Ahead, beside.Ahead)
	}
	if n := r.log.count("Kafka ready"); n != 1 {
		t.Errorf("%d lines say that it is ready", n)
	}
}

func TestConsumerStartsAtEnd(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(3, "a"))
	w := newWriter(t, k.ListenAddrs(), nil)
	w.numbers("a", 3, 0, 10)
	w.flush()
	r := newRig(t, k.ListenAddrs(), Config{}, allOf("a")).start().ready()
	m := r.join("all")
	if got := string(m.joined.AppendJSON(nil)); !strings.HasSuffix(got, `,"0":3,"1":2,"2":2}`) {
		t.Errorf("positions at the join: %s", got)
	}
	w.numbers("a", 3, 10, 20)
	checkNumbers(t, m.wait(10), 10, 20)
}

func TestConsumerLooksBack(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "a"))
	w := newWriter(t, k.ListenAddrs(), nil)
	topic := "a"
	for n := range 20 {
		ago := time.Hour
		if n >= 12 {
			ago = time.Second
		}
		w.send(&kafka.Message{
			TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: 0}, // partition 1 stays empty
			Value:          fmt.Appendf(nil, `{"n":%d}`, n), Timestamp: time.Now().Add(-ago),
		})
	}
	w.flush()
	r := newRig(t, k.ListenAddrs(), Config{Start: "1m"}, allOf("a"))
	m := r.join("all")
	r.start().ready()
	checkNumbers(t, m.wait(8), 12, 20)
}

func TestConsumerRefuses(t *testing.T) {
	f := func(cfg Config, words string) {
		t.Helper()
		brokers := []string{"127.0.0.1:1"}
		if words == "kafka.brokers" {
			brokers = nil
		}
		r := newRig(t, brokers, cfg, allOf("a"))
		err := r.c.Start(t.Context())
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want %q", err, words)
		}
		if err := r.c.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	f(Config{}, "kafka.brokers")
	f(Config{Start: "yesterday"}, `kafka.start is "yesterday"`)
	f(Config{Start: "-5s"}, `kafka.start is "-5s"`)
	f(Config{DeadLetter: "a"}, "would never end")
	f(Config{Librdkafka: map[string]string{"no.such": "x"}}, "no.such")
	f(Config{Librdkafka: map[string]string{"auto.offset.reset": "latest"}}, "auto.offset.reset")
	f(Config{Librdkafka: map[string]string{"fetch.wait.max.ms": "x"}}, "fetch.wait.max.ms")
}

// Retention overtakes a consumer that cannot fetch for a while.
func TestConsumerGap(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "a"))
	r := newRig(t, k.ListenAddrs(), Config{}, allOf("a")).start().ready()
	m := r.join("all")
	w := newWriter(t, k.ListenAddrs(), nil)
	w.numbers("a", 2, 0, 20)
	m.wait(20)
	free := blockFetches(k)
	w.numbers("a", 2, 20, 100)
	w.flush()
	if err := k.DeleteRecords("a", 1, 30); err != nil { // 61 is the first record left
		t.Fatal(err)
	}
	free()
	// 20, 22, … 98 of partition 0; the gap; 61, 63, … 99 of partition 1.
	frames := m.wait(20 + 40 + 1 + 20)
	gap := -1
	var even, odd []string
	for i, f := range frames {
		switch d := data(f); {
		case d == "gap":
			gap = i
			if !strings.Contains(f, `"1":9}`) || !strings.Contains(f, `"1":29}`) {
				t.Errorf("gap %s", f)
			}
		case strings.Contains(f, `"pos":"1:`):
			if i < gap == (i >= 20) && gap >= 0 {
				t.Errorf("frame %d of partition 1 with the gap at %d", i, gap)
			}
			odd = append(odd, d)
		default:
			even = append(even, d)
		}
	}
	if gap < 0 || len(even) != 50 || len(odd) != 30 || odd[9] != `{"n":19}` || odd[10] != `{"n":61}` {
		t.Errorf("gap at %d; %d and %d records; %v", gap, len(even), len(odd), odd)
	}
	if s := r.c.Stats(); s.Gaps != 1 || r.log.count("deleted before they were read") != 1 {
		t.Errorf("%d gaps", s.Gaps)
	}
	w.numbers("a", 2, 100, 110)
	checkNumbers(t, m.wait(len(frames) + 10)[len(frames):], 100, 110)
}

// A log ends before our next offset. Kafka will use the offsets again, so the topic gets a new
// epoch.
func TestConsumerLogCut(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "a"))
	w := newWriter(t, k.ListenAddrs(), nil)
	w.numbers("a", 1, 0, 5)
	w.flush()
	r := newRig(t, k.ListenAddrs(), Config{}, allOf("a"))
	r.start().ready()
	m := r.join("all")
	epoch := m.joined.Epoch
	// As if we had read up to 1000.
	rd := r.c.readers[0]
	if err := rd.do(func() error {
		p := rd.readings["a"].parts[0]
		p.read = 1000
		return rd.again(rd.readings["a"])
	}); err != nil {
		t.Fatal(err)
	}
	frames := m.wait(6)
	if data(frames[0]) != "reset" || strings.Contains(frames[0], epoch) {
		t.Errorf("first comes %s", frames[0])
	}
	checkNumbers(t, frames[1:], 0, 5)

	// A client with a position of the old epoch is told the oldest positions.
	q := r.recallOf("me", "all", []int64{3}, []int64{4})
	q.Epoch = epoch
	_, err := r.askRecall(q)()
	var old *rooms.TooOldError
	if !errors.As(err, &old) || old.Oldest.Epoch != r.join("all").joined.Epoch || old.Oldest.Offsets[0].Offset != -1 {
		t.Errorf("a position of epoch %s: %v, %+v", epoch, err, old)
	}
}

func TestConsumerTransactions(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "a"))
	r := newRig(t, k.ListenAddrs(), Config{}, allOf("a")).start().ready()
	m := r.join("all")
	transact(t, k.ListenAddrs(), "a")
	if got := datas(m.wait(4)); !slices.Equal(got, []string{"1", "2", "5", "6"}) {
		t.Errorf("read %v", got)
	}
	// After the last marker there is no record: 1 2 C 3 4 A 5 6 C.
	eventually(t, "past the last marker", func() bool {
		return strings.HasSuffix(string(r.join("all").joined.AppendJSON(nil)), `"0":8}`)
	})
}

// transact commits 1 and 2, aborts 3 and 4, and commits 5 and 6.
func transact(t testing.TB, brokers []string, topic string) {
	t.Helper()
	w := newWriter(t, brokers, map[string]string{"transactional.id": "t1"})
	if err := w.p.InitTransactions(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n, values := range [][]string{{"1", "2"}, {"3", "4"}, {"5", "6"}} {
		if err := w.p.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			w.put(topic, 0, "", v)
		}
		w.flush()
		end := w.p.CommitTransaction
		if n == 1 {
			end = w.p.AbortTransaction
		}
		if err := end(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
