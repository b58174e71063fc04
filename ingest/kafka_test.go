package ingest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/valyala/fastjson"

	"tapecast/ingest/route"
)

// Tests on Apache Kafka. They find it by KAFKA_HOME, and are skipped if it or Java is missing.

// makeTopic creates a topic and waits until it exists.
func makeTopic(t testing.TB, w *writer, topic string, parts, replicas int, config map[string]string) {
	t.Helper()
	a, err := kafka.NewAdminClientFromProducer(w.p.Producer)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	eventually(t, "creating", func() bool { // a topic of that name may still be being deleted
		res, err := a.CreateTopics(t.Context(),
			[]kafka.TopicSpecification{{Topic: topic, NumPartitions: parts,
				ReplicationFactor: replicas, Config: config}})
		return err == nil && res[0].Error.Code() == kafka.ErrNoError
	})
	eventually(t, "created", func() bool {
		md, err := w.p.GetMetadata(&topic, false, 5000)
		return err == nil && len(md.Topics[topic].Partitions) == parts
	})
}

func TestKafkaTransactionsAndCompaction(t *testing.T) {
	t.Parallel()
	k := startKafka(t, 1, "log.cleaner.backoff.ms=200\nlog.initial.task.delay.ms=100\n")
	w := newWriter(t, k.brokers(), nil)
	makeTopic(t, w, "tx", 1, 1, nil)
	makeTopic(t, w, "compact", 1, 1, map[string]string{
		"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01", "segment.ms": "500",
		"min.compaction.lag.ms": "0",
	})
	for n := range 1000 {
		w.put("compact", 0, fmt.Sprint(n%10), fmt.Sprintf(`{"n":%d}`, n))
	}
	w.flush()
	// A record in a new segment makes the one before it ready for compaction.
	left := 0
	segment := time.NewTicker(600 * time.Millisecond)
	defer segment.Stop()
	for round := 1000; left != 11; round++ {
		if round > 1060 {
			t.Fatalf("%d records are left, compaction does not come", left)
		}
		<-segment.C
		w.put("compact", 0, "tail", fmt.Sprintf(`{"n":%d}`, round))
		w.flush()
		left = 0
		consumeAll(t, k.brokers(), []string{"compact"}, func(m *kafka.Message) bool {
			if string(m.Key) != "tail" {
				left++
			}
			return int(m.TopicPartition.Offset) < round
		})
		left++
	}

	r := newRig(t, k.brokers(), Config{Start: "beginning"}, allOf("tx"),
		route.Route{Topic: "compact", Rooms: []string{"more"}, Key: "{@key}"})
	tx, compact := r.join("all"), r.join("more")
	r.start().ready()
	transact(t, k.brokers(), "tx")
	if got := datas(tx.wait(4)); !slices.Equal(got, []string{"1", "2", "5", "6"}) {
		t.Errorf("read %v", got)
	}
	eventually(t, "past the last marker", func() bool {
		return strings.HasSuffix(string(r.join("all").joined.AppendJSON(nil)), `"0":8}`)
	})
	eventually(t, "at the end of the compacted topic", func() bool {
		p := r.join("more").joined
		return len(p.Offsets) == 1 && p.Offsets[0].Offset >= 999
	})
	last, values := "", map[string]int{}
	for _, f := range compact.read() {
		v := fastjson.MustParse(f)
		if prev := string(v.GetStringBytes("prev")); prev != last {
			t.Errorf("prev is %q, want %q", prev, last)
		}
		last = string(v.GetStringBytes("pos"))
		values[string(v.GetStringBytes("key"))] = v.GetInt("data", "n")
	}
	for n := range 10 {
		if values[fmt.Sprint(n)] != 990+n {
			t.Errorf("the last value of %d is %d", n, values[fmt.Sprint(n)])
		}
	}
}

// electPreferred moves leaders back to the brokers that partitions prefer.
func electPreferred(t testing.TB, w *writer) {
	t.Helper()
	a, err := kafka.NewAdminClientFromProducer(w.p.Producer)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	eventually(t, "elected", func() bool {
		_, err := a.ElectLeaders(t.Context(), kafka.NewElectLeadersRequest(kafka.ElectionTypePreferred, nil))
		return err == nil
	})
}

// stream produces numbers until it is stopped. The number of partitions may grow.
type stream struct {
	w     *writer
	parts atomic.Int32
	sent  atomic.Int64
	quit  chan struct{}
	wg    sync.WaitGroup
}

func startStream(w *writer, topic string, parts int32) *stream {
	s := &stream{w: w, quit: make(chan struct{})}
	s.parts.Store(parts)
	s.wg.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-s.quit:
				return
			}
			for range 5 {
				n := s.sent.Load()
				part := int32(n % int64(s.parts.Load()))
				err := w.p.Produce(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: part},
					Value: fmt.Appendf(nil, `{"n":%d}`, n)}, nil)
				if err != nil {
					break // the queue is full: Kafka is down
				}
				s.sent.Add(1)
			}
		}
	})
	return s
}

// awaitMore waits until n more records were produced, though Kafka may not have them.
func (s *stream) awaitMore(t testing.TB, n int64) {
	t.Helper()
	n += s.sent.Load()
	eventually(t, "more to send", func() bool { return s.sent.Load() >= n })
}

func (s *stream) stop() int {
	close(s.quit)
	s.wg.Wait()
	s.w.flush()
	return int(s.sent.Load())
}

// recordsOf reads a topic up to its present end. It returns the values by "partition:offset".
func recordsOf(t testing.TB, brokers []string, topic string) map[string]string {
	t.Helper()
	c, err := kafka.NewConsumer(&kafka.ConfigMap{
		"bootstrap.servers": strings.Join(brokers, ","), "group.id": "test", "enable.auto.commit": false,
		"enable.partition.eof": true, "enable.metrics.push": false,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	md, err := c.GetMetadata(&topic, false, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	var parts []kafka.TopicPartition
	for _, p := range md.Topics[topic].Partitions {
		parts = append(parts, kafka.TopicPartition{Topic: &topic, Partition: p.ID, Offset: kafka.OffsetBeginning})
	}
	if err := c.Assign(parts); err != nil {
		t.Fatal(err)
	}
	kept, ended := map[string]string{}, map[int32]bool{}
	eventually(t, "all read", func() bool {
		for ev := c.Poll(100); ev != nil; ev = c.Poll(100) {
			switch ev := ev.(type) {
			case *kafka.Message:
				kept[fmt.Sprintf("%d:%d", ev.TopicPartition.Partition, ev.TopicPartition.Offset)] = string(ev.Value)
			case kafka.PartitionEOF:
				ended[ev.Partition] = true
			}
		}
		return len(ended) == len(parts)
	})
	return kept
}

// checkRecords checks that frames carry exactly the records of a topic: each
// partition in order, and in one chain of prev.
func checkRecords(t testing.TB, frames []string, kept map[string]string) {
	t.Helper()
	prev, order, seen := map[string]string{}, map[string]int{}, map[string]bool{}
	for _, f := range frames {
		v, err := fastjson.Parse(f)
		if err != nil || v.Exists("method") {
			t.Fatalf("not a record: %s (%v)", f, err)
		}
		pos := string(v.GetStringBytes("pos"))
		if seen[pos] {
			t.Errorf("%s came twice", pos)
		}
		seen[pos] = true
		if want, ok := kept[pos]; !ok || want != v.Get("data").String() {
			t.Errorf("%s carries %s, Kafka has %q there", pos, v.Get("data"), want)
		}
		part, offset, _ := strings.Cut(pos, ":")
		at, _ := strconv.Atoi(offset)
		if was, ok := order[part]; ok && at <= was {
			t.Errorf("partition %s: %d after %d", part, at, was)
		}
		order[part] = at
		if p, ok := prev[part]; ok && string(v.GetStringBytes("prev")) != p {
			t.Errorf("partition %s: prev is %s, want %s", part, v.Get("prev"), p)
		}
		prev[part] = pos
	}
	if len(seen) != len(kept) {
		t.Errorf("%d records came of %d", len(seen), len(kept))
	}
}

// Three brokers with all faults that they may have, while records flow. None is
// lost, and none comes twice.
func TestKafkaThreeBrokers(t *testing.T) {
	t.Parallel()
	// Without auto.create.topics.enable=false the stream's writer, which still
	// asks for its topic, would make the deleted one before the test does.
	k := startKafka(t, 3,
		"broker.session.timeout.ms=3000\nbroker.heartbeat.interval.ms=500\nauto.create.topics.enable=false\n")
	w := newWriter(t, k.brokers(), map[string]string{"acks": "all", "message.timeout.ms": "120000"})
	makeTopic(t, w, "a", 3, 3, nil)
	r := newRig(t, k.brokers(), Config{Consumers: 2, MetadataEvery: 500 * time.Millisecond}, allOf("a")).start().ready()
	m := r.join("all")
	epoch := m.joined.Epoch
	s := startStream(w, "a", 3)
	flows := func(what string) {
		t.Helper()
		from := s.sent.Load()
		eventually(t, "flowing after "+what, func() bool {
			got := m.read()
			return len(got) > 0 && int64(fastjson.GetInt([]byte(last(got)), "data", "n")) > from
		})
	}
	flows("the start")

	k.down("KILL", "2")
	flows("a broker was killed")
	eventually(t, "well with one broker of three gone", func() bool { ok, _ := r.c.Health(); return ok })
	k.up("2")
	electPreferred(t, w)
	flows("leaders moved")

	addPartitions(t, w, "a", 5)
	s.parts.Store(5)
	flows("partitions were added")

	k.down("KILL")
	eventually(t, "said to be lost", func() bool { ok, _ := r.c.Health(); return !ok })
	s.awaitMore(t, 3000) // three seconds: longer than a short interruption
	k.up("")
	flows("all brokers were away")
	eventually(t, "well again", func() bool { ok, _ := r.c.Health(); return ok })

	sent := s.stop()
	kept := recordsOf(t, k.brokers(), "a")
	n := len(kept)
	if n != sent {
		t.Logf("%d records were sent, Kafka has %d", sent, n) // after a crash Kafka may have lost some
	}
	checkRecords(t, m.wait(n), kept)
	if st := r.c.Stats(); st.Gaps != 0 || st.Resets != 0 || st.Reconnects == 0 || !r.c.Ready() {
		t.Errorf("stats %+v", st)
	}

	// The topic is made again, with more records than before.
	a, err := kafka.NewAdminClientFromProducer(w.p.Producer)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := a.DeleteTopics(t.Context(), []string{"a"}); err != nil || res[0].Error.Code() != kafka.ErrNoError {
		t.Fatal(err, res)
	}
	a.Close()
	again := newWriter(t, k.brokers(), nil)
	makeTopic(t, again, "a", 2, 3, nil)
	again.numbers("a", 2, 0, n+1000)
	frames := m.wait(n + 1 + n + 1000)
	if data(frames[n]) != "reset" || strings.Contains(frames[n], epoch) {
		t.Errorf("after the old topic's frames comes %s", frames[n])
	}
	checkNumbers(t, frames[n+1:], 0, n+1000)
}
