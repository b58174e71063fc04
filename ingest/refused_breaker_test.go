package ingest

import (
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tapecast/rooms/testwait"
)

// TestDeadLetterBreaker: letters that Kafka does not store open a breaker. While it is open they are counted,
// health says why, and once Kafka takes them again it closes. None is lost in silence.
func TestDeadLetterBreaker(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "a", "dead"))
	r := newRig(t, k.ListenAddrs(), Config{DeadLetter: "dead"}, allOf("a")).start().ready()
	w := newWriter(t, k.ListenAddrs(), nil)
	var refuses atomic.Bool
	var asked atomic.Int64
	k.ControlKey(kmsg.Produce.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		p := req.(*kmsg.ProduceRequest)
		if len(p.Topics) == 0 || p.Topics[0].Topic != "dead" {
			return nil, nil, false
		}
		asked.Add(1)
		if !refuses.Load() {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		resp.Version = req.GetVersion()
		for _, t := range p.Topics {
			of := kmsg.NewProduceResponseTopic()
			of.Topic, of.TopicID = t.Topic, t.TopicID
			for _, part := range t.Partitions {
				in := kmsg.NewProduceResponseTopicPartition()
				in.Partition, in.ErrorCode = part.Partition, 29 // TOPIC_AUTHORIZATION_FAILED
				of.Partitions = append(of.Partitions, in)
			}
			resp.Topics = append(resp.Topics, of)
		}
		return resp, nil, true
	})
	bad := uint64(0)
	put := func() {
		t.Helper()
		bad++
		w.put("a", 0, "", "{")
		eventually(t, "each letter is counted", func() bool {
			s := r.c.Stats()
			return s.DeadLetters+s.DeadLettersLost == bad
		})
	}
	put()
	refuses.Store(true)
	for r.c.LetterBreaker() == "closed" {
		put()
	}
	if n := r.c.Stats().DeadLettersLost; n != letterRow {
		t.Errorf("it opens after %d letters", n)
	}
	if ok, detail := r.c.Health(); ok || !strings.Contains(detail, "(breaker ") {
		t.Errorf("health: %v, %s", ok, detail)
	}
	before := asked.Load()
	for range 20 {
		put()
	}
	if n := asked.Load() - before; n > 2 { // tries
		t.Errorf("%d letters went to Kafka past the breaker", n)
	}
	refuses.Store(false)
	was := r.c.Stats() // no bad record comes any more
	eventually(t, "the breaker closes by itself", func() bool { return r.c.LetterBreaker() == "closed" })
	if s := r.c.Stats(); s.DeadLetters != was.DeadLetters || s.DeadLettersLost != was.DeadLettersLost {
		t.Errorf("the try counts: %+v", s)
	}
	put()
	if ok, detail := r.c.Health(); !ok || r.c.Stats().DeadLetters < 2 {
		t.Errorf("health: %s, %+v", detail, r.c.Stats())
	}
}

// TestSpareYields: when the breaker waits for a try, a letter that is not stored yet goes before the spare.
func TestSpareYields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &deadLetters{breaker: newLetterBreaker(slog.New(slog.DiscardHandler), func() {})}
		d.spare.Store(&spare{})
		for range letterRow {
			done, err := d.breaker.Allow()
			if err != nil {
				t.Fatal(err)
			}
			done(errors.New("refused"))
		}
		testwait.Pass(letterOpenFor + time.Millisecond)
		if !d.trySpare() { // without a producer: sending the spare would panic
			t.Error("the breaker counts as closed")
		}
		done, err := d.breaker.Allow()
		if err != nil {
			t.Fatalf("a letter finds the try taken: %v", err)
		}
		if done(nil); d.trySpare() {
			t.Errorf("after a letter was stored the breaker is %v", d.breaker.State())
		}
	})
}
