package ingest

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"tapecast/rooms/heartbeat"
)

// recallLanes is how many topics are read again at once. A topic whose brokers send nothing
// keeps its lane for seconds. Other topics go on in the other lanes.
const recallLanes = 3

// recallLane reads one slice at a time, on its own goroutine. Between reads the recaller's owns it.
type recallLane struct {
	heartbeat heartbeat.Counter
	client    *recallClient // nil: there is none now
}

// recallRead is one slice of a topic. Its lane's goroutine owns it until it is done.
type recallRead struct {
	lane  *recallLane
	g     *group
	list  []stretch
	want  *wanted // the rooms whose records are taken, but not kept; nil: all are kept
	most  int64   // bytes
	epoch string
	begun time.Time

	pieces         []*piece
	records, bytes uint64
	err            error
}

func (a *recaller) openLanes() {
	a.done = make(chan *recallRead, recallLanes)
	for i := range a.lanes {
		a.lanes[i].heartbeat.Name = fmt.Sprintf("recall lane %d", i)
		a.idle = append(a.idle, &a.lanes[i])
	}
}

// closeLanes waits until no lane reads, and closes all. Reads end with the Consumer.
func (a *recaller) closeLanes() {
	for len(a.idle) < recallLanes {
		r := <-a.done
		a.idle = append(a.idle, r.lane)
	}
	a.closeClients()
}

// closeClients closes the clients of the lanes that do not read.
func (a *recaller) closeClients() {
	a.heartbeat.End() // closing waits for brokers
	for _, l := range a.idle {
		l.close()
	}
	a.heartbeat.Begin()
}

func (l *recallLane) close() {
	if l.client != nil {
		l.client.close()
		l.client = nil
	}
}

// begin starts a read in an idle lane, if possible in the one that read its topic last. At least one
// lane must be idle.
func (a *recaller) begin(r *recallRead) {
	k := r.g.topic
	i := slices.IndexFunc(a.idle, func(l *recallLane) bool { return l.client != nil && l.client.topic == k.topic })
	if i < 0 {
		i = len(a.idle) - 1
	}
	r.lane, r.epoch, r.most = a.idle[i], k.epoch, 4*a.slice()
	a.idle = slices.Delete(a.idle, i, i+1)
	k.reading = true
	for _, w := range r.g.list {
		w.reading = true
	}
	a.c.ended.Go(func() {
		r.run(a)
		a.done <- r
	})
}

// run reads the slice, on the lane's goroutine.
func (r *recallRead) run(a *recaller) {
	l := r.lane
	defer l.heartbeat.End() // an idle lane is in no turn
	if l.client == nil {
		client, err := newRecallClient(a.c)
		if r.err = err; err != nil {
			return
		}
		l.client = client
	}
	r.err = l.client.read(a, r)
	if r.err != nil || len(r.pieces) == 0 {
		l.close()
	}
}

// read takes the read of a lane: it charges users, keeps pieces if they fit, and answers requests.
func (a *recaller) read(r *recallRead) {
	g, k := r.g, r.g.topic
	a.idle = append(a.idle, r.lane)
	k.reading = false
	for _, w := range g.list {
		w.reading = false
	}
	k.records, k.read = k.records+r.records, k.read+r.bytes
	var all float64
	for _, n := range g.want {
		all += n
	}
	for u, n := range g.want { // the users of a group share the cost
		if u.budget >= 0 && all > 0 {
			u.left -= float64(r.bytes) * n / all
		}
	}
	a.c.log.Log(a.c.ctx, slog.LevelDebug, "records read again", "topic", k.name, "stretches", len(r.list),
		"rooms", len(g.list), "bytes", r.bytes, "took", time.Since(r.begun).Round(time.Millisecond))
	if k.epoch != r.epoch { // the topic was made again meanwhile
		r.pieces = nil
	}
	if r.err != nil || len(r.pieces) == 0 {
		if r.err == nil {
			r.err = errSlow
		}
		a.stumble(k, r.err)
		k.at = time.Time{}
		for _, w := range g.list { // the log may begin at another offset by now
			w.judged = false
		}
	}
	if r.want != nil {
		a.finish(g, r.pieces, r.begun)
		return
	}
	for _, p := range r.pieces {
		a.bytes += p.bytes
		k.keep(p)
	}
	a.finish(g, nil, r.begun)
}
