package e2e

import (
	"bufio"
	"context"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// streamReader reads one room as server-sent events, over several connections. It knows nothing of
// positions: it sends back the last id that it had, as an EventSource does.
type streamReader struct {
	t     testing.TB
	room  string
	user  string
	id    string
	start string // the first id: where it has joined
	got   []frame
	ends  []string // what the events `close` said
}

// read reads until stop says so after an event, or until the stream ends.
func (r *streamReader) read(ctx context.Context, g *gateway, stop func(events int) bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	url := "http://" + g.public + "/stream/" + r.room
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		r.t.Error(err)
		return
	}
	q.Header.Set("Authorization", "Bearer "+g.token(r.user))
	if r.id != "" {
		q.Header.Set("Last-Event-ID", r.id)
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		return // the node is gone
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		r.t.Errorf("%s: %s", r.room, resp.Status)
		return
	}
	in := bufio.NewReader(resp.Body)
	id, name, data := "", "", []string(nil)
	for events := 0; ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return // an event that is not whole counts for nothing
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch {
		case field == "id":
			id = value
		case field == "event":
			name = value
		case field == "data":
			data = append(data, value)
		case line != "\n":
		default:
			if !r.event(id, name, strings.Join(data, "\n")) {
				return
			}
			if id, name, data = "", "", nil; stop(events) {
				return
			}
			events++
		}
	}
}

// event takes one event. It returns false if the reader should come again.
func (r *streamReader) event(id, name, data string) bool {
	if id != "" {
		if r.id = id; r.start == "" {
			r.start = id
		}
	}
	switch {
	case name == "close":
		r.ends = append(r.ends, data)
	case strings.HasPrefix(data, `{"room":`):
		f, err := parseFrame([]byte(data))
		if err != nil || f.room != r.room || id == "" {
			r.t.Errorf("%s: %v, the id %q, %s", r.room, err, id, data)
		}
		f.data = nil
		r.got = append(r.got, f)
	case strings.Contains(data, `"code":-32010`):
		return false
	case strings.Contains(data, `"gap"`) || strings.Contains(data, `"recovered":false`):
		r.t.Errorf("%s: it has lost something: %s", r.room, data)
	}
	return true
}

// sameAs compares what it was sent with the topic.
func (r *streamReader) sameAs(topic [][]record, mine func(record) bool) {
	r.t.Helper()
	next := map[int32]int64{}
	for pair := range strings.SplitSeq(r.start[strings.LastIndexByte(r.start, '/')+1:], ",") {
		var part int32
		var off int64
		fmt.Sscanf(pair, "%d:%d", &part, &off)
		next[part] = off
	}
	want, got := map[int32][]summed{}, map[int32][]summed{}
	n := 0
	for p, recs := range topic {
		for _, rec := range recs {
			if rec.offset > next[int32(p)] && mine(rec) {
				want[int32(p)] = append(want[int32(p)], summed{int32(p), rec.offset, crc32.ChecksumIEEE(rec.value)})
				n++
			}
		}
	}
	for _, f := range r.got {
		got[f.part] = append(got[f.part], summed{f.part, f.off, f.sum})
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Errorf("%s of %s: %d events, the topic has %d records; they are not the same", r.room, r.user,
			len(r.got), n)
	}
}

// TestStreamExactlyOnce: readers of events are cut at random, and one of three nodes is killed. They
// come back to any node with the id of the last event, which memory often no longer has. Each is sent
// each record since its first join once, in the order of its partition.
func TestStreamExactlyOnce(t *testing.T) {
	besideOthers(t)
	onEach(t, func(t *testing.T, k *cluster) {
		readers, cuts := 30, 8
		if testing.Short() {
			readers, cuts = 8, 4
		}
		for topic, parts := range map[string]int{"ticks": 3, "mine": 2} {
			k.topic(t, topic, parts)
		}
		nodes := make([]*gateway, 3)
		for i := range nodes {
			nodes[i] = start(t, config(k, resumeConfig))
		}
		w := k.producer(t)
		var parts atomic.Int32
		parts.Store(2)
		stop := w.ticksAndOrders(readers, &parts)
		eventually(t, time.Minute, "the first records", func() bool { return w.done.Load() > 10 })

		all := make([]*streamReader, readers)
		var round atomic.Int64
		onAll(readers, func(i int) {
			rnd := rand.New(rand.NewPCG(18, uint64(i)))
			r := &streamReader{t: t, room: "ticks", user: fmt.Sprint("r", i)}
			if all[i] = r; i%2 > 0 {
				r.room = fmt.Sprint("mine:r", i)
			}
			for range cuts {
				most := rnd.IntN(40) + 4
				r.read(t.Context(), nodes[rnd.IntN(len(nodes))], func(n int) bool { return n >= most && r.start != "" })
				if round.Add(1) == int64(readers*cuts/2) {
					nodes[0].cmd.Process.Kill()
				}
				away := rnd.IntN(100)
				if rnd.IntN(3) == 0 {
					away += 2200 // longer than memory reaches back
				}
				w.awaitMore(away)
			}
		})
		stop()
		w.flush()
		ticks, mine := k.read(t, "ticks"), k.read(t, "mine")
		onAll(readers, func(i int) {
			r, topic := all[i], ticks
			of := func(record) bool { return true }
			if r.room != "ticks" {
				topic, of = mine, func(rec record) bool { return string(rec.key) == r.user }
			}
			r.readAll(nodes[1+i%2], topic, of)
			r.sameAs(topic, of)
		})
	})
}

// readAll reads until it has had the last record of each partition that is of its room.
func (r *streamReader) readAll(g *gateway, topic [][]record, mine func(record) bool) {
	last := map[int32]int64{}
	for p, recs := range topic {
		for _, rec := range recs {
			if mine(rec) {
				last[int32(p)] = rec.offset
			}
		}
	}
	done := func(int) bool {
		had := map[int32]int64{}
		for _, f := range r.got {
			had[f.part] = f.off
		}
		for p, off := range last {
			if had[p] < off {
				return false
			}
		}
		return true
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	for !done(0) && ctx.Err() == nil {
		r.read(ctx, g, done)
	}
}
