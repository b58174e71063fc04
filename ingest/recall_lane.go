package ingest

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"tapecast/rooms/heartbeat"
)

// recallLanes is how many topics are read again at once. One whose brokers send nothing
// keeps its lane for seconds, and holds up nobody while there is another.
const recallLanes = 3

// recallLane reads one slice at a time, on a goroutine of its own meanwhile. The
// recaller's goroutine owns it in between.
type recallLane struct {
	beat   heartbeat.Beat
	client *recallClient // nil: not needed for a while
}

// recallRead is one slice of a topic. Its lane's goroutine owns it until it is done.
type recallRead struct {
	lane  *recallLane
	g     *group
	list  []stretch
	want  *wanted // rooms whose records are taken, and not kept; nil: all
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
		a.lanes[i].beat.Name = fmt.Sprintf("recall lane %d", i)
		a.idle = append(a.idle, &a.lanes[i])
	}
}

// closeLanes waits for those that read, which ends with the Consumer, and closes all.
func (a *recaller) closeLanes() {
	for len(a.idle) < recallLanes {
		r := <-a.done
		a.idle = append(a.idle, r.lane)
	}
	a.closeClients()
}

// closeClients closes the clients of the lanes that do not read.
func (a *recaller) closeClients() {
	a.beat.End() // librdkafka waits for its brokers
	for _, l := range a.idle {
		l.close()
	}
	a.beat.Begin()
}

func (l *recallLane) close() {
	if l.client != nil {
		l.client.close()
		l.client = nil
	}
}

// begin has a lane read, one that has read the topic before if there is one. A lane must
// be idle.
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
	defer l.beat.End() // however it ends: an idle lane is in no turn
	if l.client == nil {
		if l.client, r.err = newRecallClient(a.c); r.err != nil {
			l.client = nil
			return
		}
	}
	r.err = l.client.read(a, r)
	if r.err != nil || len(r.pieces) == 0 {
		l.close()
	}
}

// read takes what a lane has read: keeps what is to be kept, has the users pay, and
// answers those that it is enough for.
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
	for u, n := range g.want { // who asks together pays together
		if a.c.cfg.RecallBytes >= 0 && all > 0 {
			u.left -= float64(r.bytes) * n / all
		}
	}
	a.c.log.Log(a.c.ctx, slog.LevelDebug, "records read again", "topic", k.name, "stretches", len(r.list),
		"rooms", len(g.list), "bytes", r.bytes, "took", time.Since(r.begun).Round(time.Millisecond))
	if k.epoch != r.epoch { // the topic was made anew meanwhile
		r.pieces = nil
	}
	if r.err != nil || len(r.pieces) == 0 {
		if r.err == nil {
			r.err = errSlow
		}
		a.stumble(k, r.err)
		k.at = time.Time{}
		for _, w := range g.list { // perhaps the log begins elsewhere by now
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
