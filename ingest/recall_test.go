package ingest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tapecast/ingest/route"
	"tapecast/rooms"
)

// recall asks for a room's messages between two offsets of each partition, without a user. It
// returns a function that waits for the answer, and asks for the rest if there is one.
func (r *rig) recall(room string, after, upTo []int64) func() ([]string, error) {
	return r.recallAs("", room, after, upTo)
}

// recallAs is recall for a user.
func (r *rig) recallAs(user, room string, after, upTo []int64) func() ([]string, error) {
	r.t.Helper()
	q := r.recallOf(user, room, after, upTo)
	wait := r.askRecall(q)
	return func() (got []string, err error) {
		for {
			past, err := wait()
			if err != nil {
				return nil, err
			}
			to := q.UpTo
			if past.UpTo != nil {
				to = past.UpTo
			}
			got = append(got, framesOf(past, q.After, to)...)
			past.Release()
			if past.UpTo == nil {
				return got, nil
			}
			next := &rooms.Recall{Pattern: q.Pattern, Room: q.Room, Epoch: q.Epoch, Payer: q.Payer,
				UpTo: q.UpTo, More: true}
			for i, p := range past.UpTo {
				next.After = append(next.After,
					rooms.Pos{Partition: p.Partition, Offset: max(p.Offset, q.After[i].Offset)})
			}
			q = next
			wait = r.askRecall(q)
		}
	}
}

func (r *rig) recallOf(user, room string, after, upTo []int64) *rooms.Recall {
	r.t.Helper()
	p, _, ok := r.catalog.Resolve(room)
	if !ok {
		r.t.Fatalf("no room %q", room)
	}
	q := &rooms.Recall{Pattern: p, Room: room, Epoch: p.Feed.Epoch(), Payer: rooms.Payer{User: user}}
	for i := range after {
		q.After = append(q.After, rooms.Pos{Partition: int32(i), Offset: after[i]})
		q.UpTo = append(q.UpTo, rooms.Pos{Partition: int32(i), Offset: upTo[i]})
	}
	return q
}

// askRecall sends a request, and returns a function that waits for the answer.
func (r *rig) askRecall(q *rooms.Recall) func() (*rooms.Past, error) {
	var past *rooms.Past
	var failed error
	done := make(chan struct{})
	q.Done = func(p *rooms.Past, err error) {
		past, failed = p, err
		close(done)
	}
	r.c.Recall(q)
	return func() (*rooms.Past, error) {
		<-done
		return past, failed
	}
}

// framesOf returns the texts of a past for a member that has everything up to some positions.
func framesOf(past *rooms.Past, after, upTo []rooms.Pos) (got []string) {
	var pieces []rooms.Piece
	for at, next := 0, 0; at < past.Frames(); at = next {
		next, pieces = past.Cut(at, 1<<20, &rooms.Filter{Have: after}, upTo, nil)
		for i := range pieces {
			got = append(got, textsOf(pieces[i].Bytes)...)
		}
	}
	return got
}

// TestRecall: a recall returns the records of the topic. A thousand requests together cost one
// read. An older position costs only the records before those.
func TestRecall(t *testing.T) {
	t.Parallel()
	const parts, n = 3, 3000
	began := time.Now()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(parts, "a"), kfake.SeedTopics(1, "b"))
	w := newWriter(t, k.ListenAddrs(), nil)
	w.numbers("a", parts, 0, n)
	w.flush()
	r := newRig(t, k.ListenAddrs(), Config{}, allOf("a"),
		route.Route{Topic: "b", Rooms: []string{"own:{@key}"}, Type: "y"}).start().ready()
	high := int64(n/parts - 1)
	ask := func(from int64) func() ([]string, error) {
		return r.recall("all", []int64{from, from, from}, []int64{high, high, high})
	}
	var asked []func() ([]string, error)
	for i := range 1000 {
		asked = append(asked, ask(int64(400+i%100)))
	}
	for i, wait := range asked {
		got, err := wait()
		if err != nil {
			t.Fatal(err)
		}
		checkNumbers(t, got, (401+i%100)*parts, n)
	}
	first := r.c.RecallStats()
	if want := uint64(n - 401*parts); first.Records > want+want/5 || first.Reads > 2*parts || first.Asked != 1000 ||
		first.Refused != 0 {
		t.Errorf("a thousand askers cost %+v", first)
	}
	got, err := ask(-1)()
	if err != nil {
		t.Fatal(err)
	}
	checkNumbers(t, got, 0, n)
	w.numbers("a", parts, n, n+300)
	w.flush()
	high += 100
	if got, err = ask(1)(); err != nil {
		t.Fatal(err)
	}
	checkNumbers(t, got, 2*parts, n+300)
	kept := time.Since(began) < keepFor // on a very busy machine the records are forgotten meanwhile
	if s := r.c.RecallStats(); kept && (s.Records > n+300+10*parts || s.Kept == 0) {
		t.Errorf("in all it cost %+v", s)
	}

	// Positions that cannot be served.
	f := func(wait func() ([]string, error), words string) {
		t.Helper()
		_, err := wait()
		var old *rooms.TooOldError
		if !errors.As(err, &old) || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, want %q", err, words)
		}
	}
	f(ask(high+1), fmt.Sprintf("partition 0 ends at offset %d, before it", high))
}

// TestRecallPrivate: each user gets its own messages, merged by time over the partitions
// and in the order of each partition.
func TestRecallPrivate(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(4, "b"))
	w := newWriter(t, k.ListenAddrs(), nil)
	const users, each = 200, 10
	for n := range users * each {
		w.put("b", int32(n%4), fmt.Sprint(n%users), fmt.Sprintf(`{"n":%d}`, n))
	}
	w.flush()
	r := newRig(t, k.ListenAddrs(), Config{},
		route.Route{Topic: "b", Rooms: []string{"own:{@key}"}, Type: "y"}).start().ready()
	const high = users*each/4 - 1
	var asked []func() ([]string, error)
	for u := range users {
		asked = append(asked, r.recall(fmt.Sprint("own:", u), []int64{-1, -1, -1, -1}, []int64{high, high, high, high}))
	}
	for u, wait := range asked {
		got, err := wait()
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for i := range each {
			want = append(want, fmt.Sprintf(`{"n":%d}`, u+i*users))
		}
		if ds := datas(got); !slices.Equal(ds, want) {
			t.Errorf("user %d got %v, want %v", u, ds, want)
		}
	}
	if s := r.c.RecallStats(); s.Records > users*each+16 {
		t.Errorf("%d records were read for %d", s.Records, users*each)
	}
}

// TestRecallOfAnotherTopic: a second topic is read again at once too.
func TestRecallOfAnotherTopic(t *testing.T) {
	t.Parallel()
	topics, names := []string{"a", "b", "c", "d"}, []string{"all", "all:1", "more", "own:1"}
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topics...))
	w := newWriter(t, k.ListenAddrs(), nil)
	var routes []route.Route
	for i, topic := range topics {
		w.put(topic, 0, "1", `{"n":1}`)
		routes = append(routes,
			route.Route{Topic: topic, Rooms: []string{strings.Replace(names[i], ":1", ":{@key}", 1)}, Type: "y"})
	}
	w.flush()
	r := newRig(t, k.ListenAddrs(), Config{}, routes...).start().ready()
	least := time.Hour
	for i, name := range names {
		began := time.Now()
		if got, err := r.recall(name, []int64{-1}, []int64{0})(); err != nil || len(got) != 1 {
			t.Fatalf("%s: %v, %v", name, got, err)
		}
		if i > 0 {
			least = min(least, time.Since(began))
		}
	}
	// Without GetMetadata it was about a second for each: librdkafka's timer.
	if least > 500*time.Millisecond {
		t.Errorf("another topic takes %s at least", least)
	}
}

// TestRecallWaitsForBrokers: a request waits while the brokers are slow to give the topic's bounds.
// It is not refused.
func TestRecallWaitsForBrokers(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "a"))
	w := newWriter(t, k.ListenAddrs(), nil)
	w.numbers("a", 1, 0, 10)
	w.flush()
	r := newRig(t, k.ListenAddrs(), Config{}, allOf("a")).start().ready()
	k.ControlKey(kmsg.ListOffsets.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if r.log.count("cannot read records again yet") > 0 {
			k.DropControl()
			return nil, nil, false
		}
		k.KeepControl()
		return noOffsets(req), nil, true
	})
	got, err := r.recall("all", []int64{-1}, []int64{9})()
	if err != nil {
		t.Fatal(err)
	}
	checkNumbers(t, got, 0, 10)
}

// noOffsets answers a ListOffsets request with a time-out for each partition.
func noOffsets(req kmsg.Request) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	for _, t := range req.(*kmsg.ListOffsetsRequest).Topics {
		parts := make([]kmsg.ListOffsetsResponseTopicPartition, len(t.Partitions))
		for i, p := range t.Partitions {
			parts[i] = kmsg.NewListOffsetsResponseTopicPartition()
			parts[i].Partition, parts[i].ErrorCode = p.Partition, 7 // REQUEST_TIMED_OUT: asked again within a second
		}
		resp.Topics = append(resp.Topics, kmsg.ListOffsetsResponseTopic{Topic: t.Topic, Partitions: parts})
	}
	return resp
}
