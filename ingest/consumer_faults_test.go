package ingest

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tapecast/ingest/route"
)

// blockFetches holds all fetches until the function it returns is called.
func blockFetches(k *kfake.Cluster) (free func()) {
	held := make(chan struct{})
	k.ControlKey(kmsg.Fetch.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		select {
		case <-held:
			k.DropControl()
			return nil, nil, false
		default:
		}
		k.KeepControl()
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		resp.Version = req.GetVersion()
		return resp, nil, true // no records
	})
	return func() { close(held) }
}

func TestConsumerBadRecords(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{true, false} {
		testBadRecords(t, keep)
	}
}

// testBadRecords routes bad records. With keep, records that no route matches are dead letters too.
func testBadRecords(t *testing.T, keep bool) {
	t.Helper()
	letters := 25
	if keep {
		letters++
	}
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "a", "dead"))
	r := newRig(t, k.ListenAddrs(), Config{DeadLetter: "dead", MaxRecord: 1000, KeepUnmatched: keep},
		route.Route{Topic: "a", Match: map[string]string{"@header.skip": "no"}, Rooms: []string{"all"}, Key: "{s}",
			Type: "x"}).start().ready()
	m := r.join("all")
	w := newWriter(t, k.ListenAddrs(), nil)
	putBadRecords(w)
	if got := datas(m.wait(2)); got[0] != `{"s":"good"}` || got[1] != `{"s":"end"}` {
		t.Errorf("read %v", got)
	}
	eventually(t, "all dead letters", func() bool { return r.c.Stats().DeadLetters == uint64(letters) })
	badRecordsCounted(t, r)
	badRecordsLogged(t, r)
	badRecordsKept(t, k, letters)
	// The offsets of bad records count as progress.
	putWith(w, `{`, "skip", "no")
	eventually(t, "past the bad record", func() bool {
		return strings.HasSuffix(string(r.join("all").joined.AppendJSON(nil)), `"0":28}`)
	})
}

// putWith writes a value with headers to topic a; "null": a tombstone.
func putWith(w *writer, value string, headers ...string) {
	topic := "a"
	m := &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: 0}, Key: []byte("k")}
	if value != "null" {
		m.Value = []byte(value)
	}
	for i := 0; i < len(headers); i += 2 {
		m.Headers = append(m.Headers, kafka.Header{Key: headers[i], Value: []byte(headers[i+1])})
	}
	w.send(m)
}

// putBadRecords writes 28 records: two good ones, one that no route matches, and 25 bad ones.
func putBadRecords(w *writer) {
	putWith(w, `{"s":"good"}`, "skip", "no")
	putWith(w, `no JSON`, "skip", "no")
	putWith(w, "{\"s\":\"\xff\"}", "skip", "no")
	putWith(w, `{"x":"no s"}`, "skip", "no", "own", "header")
	putWith(w, `{"s":"fits nowhere"}`, "skip", "yes")
	putWith(w, `{"s":"`+strings.Repeat("x", 1000)+`"}`, "skip", "no")
	for range 20 {
		putWith(w, `{`, "skip", "no")
	}
	putWith(w, "null", "skip", "no") // its room's key is in the value
	putWith(w, `{"s":"end"}`, "skip", "no")
}

func badRecordsCounted(t *testing.T, r *rig) {
	t.Helper()
	s := r.c.Stats()
	want := map[string]uint64{"json": 21, "utf8": 1, "field": 2, "size": 1, "room": 0}
	for reason, n := range want {
		if s.Bad[reason] != n {
			t.Errorf("%d are bad for %s, want %d", s.Bad[reason], reason, n)
		}
	}
	if _, is := s.Bad[route.Unmatched.String()]; is || s.Processed != 28 || s.DeadLettersLost != 0 ||
		s.Topics[0].Unmatched != 1 {
		t.Errorf("stats %+v", s)
	}
}

func badRecordsLogged(t *testing.T, r *rig) {
	t.Helper()
	for _, line := range []string{
		"topic=a partition=0 offset=1 reason=json", "topic=a partition=0 offset=2 reason=utf8",
		"topic=a partition=0 offset=3 reason=field",
		"topic=a partition=0 offset=5 reason=size",
	} {
		if r.log.count(line) != 1 {
			t.Errorf("%d lines %q", r.log.count(line), line)
		}
	}
	if r.log.count("offset=4") != 0 {
		t.Error("there is a warning about a record that no route matches")
	}
	if n := r.log.count("reason=json"); n != sampleLines {
		t.Errorf("%d lines for one reason, want %d", n, sampleLines)
	}
}

// badRecordsKept reads the dead letters, of which the third and the last are looked at.
func badRecordsKept(t *testing.T, k *kfake.Cluster, letters int) {
	t.Helper()
	n := 0
	consumeAll(t, k.ListenAddrs(), []string{"dead"}, func(m *kafka.Message) bool {
		if n == 2 {
			var got []string
			for _, h := range m.Headers {
				got = append(got, h.Key+"="+string(h.Value))
			}
			if s := strings.Join(got,
				" "); s != "skip=no own=header tapecast.reason=field tapecast.topic=a tapecast.partition=0 "+
				"tapecast.offset=3 tapecast.key=k" || string(m.Key) != "a:0:3" || string(m.Value) != `{"x":"no s"}` {
				t.Errorf("dead letter %s=%s: %s", m.Key, m.Value, s)
			}
		}
		n++
		if last := m.Headers[len(m.Headers)-1]; n == letters && (m.Value == nil || last.Key != headerTombstone) {
			t.Errorf("a tombstone's letter has the value %q and the header %s", m.Value, last.Key)
		}
		return n < letters
	})
}

func TestDeadLettersLost(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "a"))
	r := newRig(t, k.ListenAddrs(), Config{DeadLetter: "none"}, allOf("a")).start().ready()
	missing := func() bool {
		ok, detail := r.c.Health()
		return !ok && strings.Contains(detail, `dead-letter topic "none": does not exist`)
	}
	eventually(t, "said to be missing", missing)
	m := r.join("all")
	w := newWriter(t, k.ListenAddrs(), nil)
	w.put("a", 0, "", "{")
	w.put("a", 0, "", "{}")
	m.wait(1)
	if n := r.c.Stats().DeadLettersLost; n != 1 { // at once
		t.Errorf("%d letters are lost, want 1", n)
	}
	if err := k.CreateTopic("none", 1, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "well again", func() bool { return !missing() })
	w.put("a", 0, "", "{")
	eventually(t, "stored", func() bool { return r.c.Stats().DeadLetters == 1 })
	if n := r.log.count("dead letters cannot be stored"); n != 1 {
		t.Errorf("%d lines say that letters cannot be stored", n)
	}
}

func TestSampler(t *testing.T) {
	var s sampler
	now := time.Unix(1000, 0)
	for i := range sampleLines + 3 {
		if _, ok := s.take(route.BadJSON, now); ok != (i < sampleLines) {
			t.Errorf("line %d: %v", i, ok)
		}
	}
	if muted, ok := s.take(route.BadField, now); !ok || muted != 0 {
		t.Error("one reason mutes another")
	}
	if muted, ok := s.take(route.BadJSON, now.Add(sampleWindow)); !ok || muted != 3 {
		t.Errorf("in the next window: %v, %d unlogged, want 3", ok, muted)
	}
}

func TestConsumerLargeRecord(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "a"),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": "10000000"}))
	if err := k.CreateTopic("large", 1, map[string]string{"max.message.bytes": "10000000"}); err != nil {
		t.Fatal(err)
	}
	large := `{"x":"` + strings.Repeat("x", 5<<20) + `"}`
	for _, limit := range []int{8 << 20, 0} {
		r := newRig(t, k.ListenAddrs(), Config{MaxRecord: limit}, allOf("large")).start().ready()
		m := r.join("all")
		w := newWriter(t, k.ListenAddrs(), nil)
		w.put("large", 0, "", large)
		w.put("large", 0, "", "1")
		if limit > 0 {
			if got := m.wait(2); data(got[0]) != large || data(got[1]) != "1" {
				t.Errorf("%d bytes came, want %d", len(got[0]), len(large))
			}
			continue
		}
		if got := m.wait(1); data(got[0]) != "1" || r.c.Stats().Bad["size"] != 1 {
			t.Errorf("%.100s", got[0])
		}
	}
}

// A broker stops, and starts again on its port with its data.
func TestConsumerBrokerAway(t *testing.T) {
	t.Parallel()
	dir, port := t.TempDir(), freePort(t)
	open := func() *kfake.Cluster {
		k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	k := open()
	if err := k.CreateTopic("a", 2, nil); err != nil {
		t.Fatal(err)
	}
	addrs := k.ListenAddrs()
	r := newRig(t, addrs, Config{}, allOf("a")).start().ready()
	m := r.join("all")
	w := newWriter(t, addrs, nil)
	w.numbers("a", 2, 0, 100)
	w.flush()
	m.wait(100)
	k.Close()
	eventually(t, "said to be lost", func() bool {
		ok, detail := r.c.Health()
		return !ok && strings.Contains(detail, "no Kafka broker is reachable since")
	})
	if !r.c.Ready() {
		t.Error("the Consumer is not ready any more")
	}
	w.numbers("a", 2, 100, 200) // waits in the producer
	k = open()
	defer k.Close()
	checkNumbers(t, m.wait(200), 0, 200)
	eventually(t, "well again", func() bool { ok, _ := r.c.Health(); return ok })
	if r.log.count("Kafka lost") != 1 || r.log.count("Kafka back") != 1 || r.c.Stats().Reconnects != 1 ||
		r.c.Stats().Resets != 0 {
		t.Errorf("stats %+v", r.c.Stats())
	}
}

// Leaders move, and a broker stops for good, while records flow.
func TestConsumerLeadersMove(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(3), kfake.SeedTopics(3, "a"))
	r := newRig(t, k.ListenAddrs(), Config{Consumers: 2}, allOf("a")).start().ready()
	m := r.join("all")
	w := newWriter(t, k.ListenAddrs(), nil)
	for round := range 10 {
		w.numbers("a", 3, 300*round, 300*round+300)
		switch round {
		case 3:
			k.ShufflePartitionLeaders()
		case 6:
			if err := k.RemoveNode(0); err != nil {
				t.Fatal(err)
			}
		default:
			if err := k.MoveTopicPartition("a", int32(round%3), 1+int32(round%2)); err != nil {
				t.Fatal(err)
			}
		}
	}
	checkNumbers(t, m.wait(3000), 0, 3000)
	if s := r.c.Stats(); s.Resets != 0 || s.Gaps != 0 {
		t.Errorf("stats %+v", s)
	}
}

// Stop ends all goroutines, also while the brokers are down.
func TestConsumerStops(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, brokers := range [][]string{{fmt.Sprintf("127.0.0.1:%d", freePort(t))}, nil} {
		k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "a"))
		if err != nil {
			t.Fatal(err)
		}
		if brokers == nil {
			brokers = k.ListenAddrs()
		}
		r := newRig(t, brokers, Config{Consumers: 3}, allOf("a"))
		if err := r.c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if brokers[0] == k.ListenAddrs()[0] {
			r.ready()
		}
		ended, cancel := context.WithTimeout(t.Context(), 0)
		cancel()
		if err := r.c.Stop(ended); err == nil {
			t.Error("a Stop without time returns no error")
		}
		eventually(t, "stopped", func() bool {
			return !r.c.started.Load()
		})
		if err := r.c.Stop(t.Context()); err != nil {
			t.Errorf("a second Stop: %v", err)
		}
		k.Close()
		r.table.Stop()
	}
	eventually(t, "back at the goroutines of before", func() bool { return runtime.NumGoroutine() <= before+1 })
}

func TestConsumerStartTwiceEndedContext(t *testing.T) {
	r := newRig(t, []string{"127.0.0.1:1"}, Config{}, allOf("a"))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.c.Start(ended); err == nil {
		t.Error("the Consumer starts although its context has ended")
	}
}

func TestEpochOf(t *testing.T) {
	a := epochOf("cluster", "topic")
	if len(a) != 6 || strings.ToLower(a) != a || a != epochOf("cluster", "topic") {
		t.Errorf("epoch %q", a)
	}
	if a == epochOf("cluster2", "topic") || a == epochOf("cluster", "topic2") || a == epochOf("clustert", "opic") {
		t.Error("different topics have the same epoch")
	}
}
