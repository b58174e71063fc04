package ingest

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"

	"tapecast/ingest/route"
)

func TestConsumerWaitsForTopic(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "b"))
	r := newRig(t, k.ListenAddrs(), Config{RequireAll: true}, allOf("a"),
		route.Route{Topic: "b", Rooms: []string{"more"}}).start()
	// A gateway that forgives topics is ready without it.
	lax := newRig(t, k.ListenAddrs(), Config{}, allOf("a"),
		route.Route{Topic: "b", Rooms: []string{"more"}}).start().ready()
	if ok, detail := lax.c.Health(); ok || detail != `topic "a": does not exist` {
		t.Errorf("ready with health %v, %s", ok, detail)
	}
	m, late := r.join("all"), lax.join("all")
	eventually(t, "said to be missing", func() bool {
		ok, detail := r.c.Health()
		return !ok && detail == `topic "a": does not exist`
	})
	if r.c.Ready() {
		t.Error("ready without its topic")
	}
	if err := k.CreateTopic("a", 2, nil); err != nil {
		t.Fatal(err)
	}
	// The whole topic is younger than our start, so it is read from its beginning.
	w := newWriter(t, k.ListenAddrs(), nil)
	w.numbers("a", 2, 0, 50)
	checkNumbers(t, m.wait(50), 0, 50)
	checkNumbers(t, late.wait(50), 0, 50)
	r.ready()
	if n := r.log.count("does not exist"); n != 1 {
		t.Errorf("%d lines say that the topic is missing", n)
	}
}

func TestConsumerPartitionsAdded(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "a"))
	r := newRig(t, k.ListenAddrs(), Config{Consumers: 2}, allOf("a")).start().ready()
	m := r.join("all")
	w := newWriter(t, k.ListenAddrs(), nil)
	w.numbers("a", 2, 0, 20)
	m.wait(20)
	addPartitions(t, w, "a", 5)
	w.numbers("a", 5, 20, 200)
	checkNumbers(t, m.wait(200), 0, 200)
	if n := r.c.Stats().Partitions; n != 5 {
		t.Errorf("%d partitions", n)
	}
	if got := string(r.join("all").joined.AppendJSON(nil)); !strings.Contains(got, `"4":35`) {
		t.Errorf("positions after growing: %s", got)
	}
}

// A partitioner is a check. A misplaced record is delivered, counted once however many routes take
// it, and in Health. The log has one warning. A record from before our start is not misplaced, nor
// one in the partition of an older partition count.
func TestConsumerMisplaced(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "a"))
	w := newWriter(t, k.ListenAddrs(), nil)
	w.put("a", 1, "42", "0") // murmur2 says 0 of 2, and 4 of 6
	w.flush()
	r := newRig(t, k.ListenAddrs(), Config{Start: "beginning"},
		route.Route{Topic: "a", Rooms: []string{"own:{@key}"}, Partitioner: "murmur2"},
		route.Route{Topic: "a", Rooms: []string{"all"}, Partitioner: "murmur2"})
	m := r.join("own:42")
	r.start().ready()
	w.put("a", 0, "42", "1")
	m.wait(2)
	if ok, detail := r.c.Health(); !ok || r.c.Stats().Misplaced != 0 {
		t.Errorf("%d misplaced, health %v, %s", r.c.Stats().Misplaced, ok, detail)
	}
	misplaced := func(n uint64) {
		t.Helper()
		eventually(t, "counted", func() bool { return r.c.Stats().Misplaced >= n })
		ok, detail := r.c.Health()
		if want := fmt.Sprintf("topic %q: %d records so far lie in other partitions", "a", n); ok ||
			!strings.HasPrefix(detail, want) {
			t.Errorf("health %v, %s; want %s", ok, detail, want)
		}
	}
	w.put("a", 1, "42", "2")
	m.wait(3)
	misplaced(1)
	addPartitions(t, w, "a", 6)
	w.put("a", 4, "42", "3")
	m.wait(4) // so the partitions are known
	w.put("a", 0, "42", "4")
	w.put("a", 4, "42", "5")
	w.put("a", 3, "42", "6")
	m.wait(7)
	misplaced(2)
	if n := r.log.count("records lie in other partitions"); n != 1 {
		t.Errorf("%d lines about misplaced records", n)
	}
}

// addPartitions gives a topic n partitions and waits until the producer knows them.
func addPartitions(t testing.TB, w *writer, topic string, n int) {
	t.Helper()
	a, err := kafka.NewAdminClientFromProducer(w.p.Producer)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	res, err := a.CreatePartitions(t.Context(), []kafka.PartitionsSpecification{{Topic: topic, IncreaseTo: n}})
	if err != nil || res[0].Error.Code() != kafka.ErrNoError {
		t.Fatal(err, res)
	}
	eventually(t, "known to the producer", func() bool {
		md, err := w.p.GetMetadata(&topic, false, 5000)
		return err == nil && len(md.Topics[topic].Partitions) == n
	})
}

// A topic is deleted and made again, with more records than before. librdkafka
// alone would go on in the new one at the old offset.
func TestConsumerTopicMadeAnew(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "a"))
	// The watcher looks so seldom that only the reader's doubt can help.
	r := newRig(t, k.ListenAddrs(), Config{MetadataEvery: time.Minute}, allOf("a")).start().ready()
	m := r.join("all")
	before := m.joined.Epoch
	byID := func() string { // the epoch by the topic's id, as Kafka's tools write it
		p, _, _ := r.catalog.Resolve("all")
		id := k.TopicInfo("a").TopicID
		return p.Feed.EpochOf(base64.RawURLEncoding.EncodeToString(id[:]))
	}
	if got := byID(); got != before {
		t.Errorf("the topic's id stands for epoch %q, not %q", got, before)
	}
	w := newWriter(t, k.ListenAddrs(), nil)
	w.numbers("a", 1, 0, 10)
	m.wait(10)
	free := blockFetches(k)
	if err := k.DeleteTopic("a"); err != nil {
		t.Fatal(err)
	}
	if err := k.CreateTopic("a", 1, nil); err != nil {
		t.Fatal(err)
	}
	again := newWriter(t, k.ListenAddrs(), nil)
	again.numbers("a", 1, 100, 200)
	again.flush()
	free()
	frames := m.wait(10 + 1 + 100)
	checkNumbers(t, frames[:10], 0, 10)
	if data(frames[10]) != "reset" {
		t.Errorf("the frame after the old topic's is %s", frames[10])
	}
	checkNumbers(t, frames[11:], 100, 200)
	after := r.join("all").joined
	if after.Epoch == before || !strings.Contains(frames[10], after.Epoch) || after.Offsets[0].Offset != 99 {
		t.Errorf("epoch %q, then %+v", before, after)
	}
	if got := byID(); got != after.Epoch {
		t.Errorf("the topic's id stands for epoch %q, not %q", got, after.Epoch)
	}
	if s := r.c.Stats(); s.Resets != 1 {
		t.Errorf("%d resets", s.Resets)
	}
}

// A topic is deleted and made again, with fewer partitions.
func TestConsumerTopicAway(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(3, "a"))
	r := newRig(t, k.ListenAddrs(), Config{Consumers: 2}, allOf("a")).start().ready()
	m := r.join("all")
	w := newWriter(t, k.ListenAddrs(), nil)
	w.numbers("a", 3, 0, 9)
	m.wait(9)
	if err := k.DeleteTopic("a"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "missed", func() bool { ok, _ := r.c.Health(); return !ok })
	if !r.c.Ready() {
		t.Error("the Consumer is not ready any more")
	}
	if err := k.CreateTopic("a", 2, nil); err != nil {
		t.Fatal(err)
	}
	again := newWriter(t, k.ListenAddrs(), nil)
	again.numbers("a", 2, 0, 4)
	frames := m.wait(9 + 1 + 4)
	if data(frames[9]) != "reset" {
		t.Errorf("the frame after the old topic's is %s", frames[9])
	}
	checkNumbers(t, frames[10:], 0, 4)
	eventually(t, "well again", func() bool { ok, _ := r.c.Health(); return ok })
	if n := r.c.Stats().Partitions; n != 2 {
		t.Errorf("%d partitions", n)
	}
}

// A Consumer with the Progress of another one goes on at the offsets where that one stopped, also
// in a topic that was made again or grew meanwhile.
func TestConsumerTakesUp(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "a"))
	r := newRig(t, k.ListenAddrs(), Config{}, allOf("a")).start().ready()
	m := r.join("all")
	w := newWriter(t, k.ListenAddrs(), nil)
	next := func() {
		t.Helper()
		if err := r.c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	restart := func() {
		t.Helper()
		r.c = New(r.c.cfg, r.c.router, r.table)
		if err := r.c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.numbers("a", 2, 0, 10)
	m.wait(10)
	next()
	w.numbers("a", 2, 10, 20)
	addPartitions(t, w, "a", 3)
	w.numbers("a", 3, 20, 30)
	w.flush()
	restart()
	checkNumbers(t, m.wait(30), 0, 30)
	next()
	if err := k.DeleteTopic("a"); err != nil {
		t.Fatal(err)
	}
	if err := k.CreateTopic("a", 2, nil); err != nil {
		t.Fatal(err)
	}
	again := newWriter(t, k.ListenAddrs(), nil)
	again.numbers("a", 2, 0, 50)
	again.flush()
	restart()
	frames := m.wait(30 + 1 + 50)
	if data(frames[30]) != "reset" {
		t.Errorf("the frame after the old topic's is %s", frames[30])
	}
	checkNumbers(t, frames[31:], 0, 50)
}
