package resumes

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"tapecast/bench"
	"tapecast/bench/client"
	"tapecast/bench/hostile"
	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/pool"
	"tapecast/bench/proto"
)

// resumers are honest clients that resume once each. They connect, ask to resume from a
// position, wait until they have everything that they lacked, and leave.
type resumers struct {
	peer  *client.Dialer
	sign  job.Signer
	room  string
	head  positions
	until time.Duration

	mu      sync.Mutex // guards the fields below
	out     resumed
	latency *job.Hist
	ok      int64
	failed  map[string]int64
}

type resumed struct {
	records, bytes int64 // bytes of the records' values
	notNow         int64
}

// come makes count clients come at a rate, from a given time on (CLOCK_MONOTONIC). lacks
// returns how many records client n is behind. come returns when the last client is done.
func (x *resumers) come(
	ctx context.Context, from int64, first, count int, rate float64, lacks func(n int) int64,
) error {
	return bench.Come(ctx, x.sign, from, first, count, rate, func(n int, token string, due int64) {
		ctx, cancel := context.WithTimeout(ctx, x.until)
		defer cancel()
		got, why := x.resume(ctx, n, token, lacks(n))
		if why != "" && ctx.Err() != nil {
			why = client.NoAnswer
		}
		took := machine.MonotonicIn(0) - due // of one that fails, the time it tried
		x.mu.Lock()
		defer x.mu.Unlock()
		x.out.records += got.records
		x.out.bytes += got.bytes
		x.out.notNow += got.notNow
		x.latency.Record(took)
		if why == "" {
			x.ok++
		} else {
			hostile.Bump(x.failed, why)
		}
	})
}

// resume returns what a client got. why says why that is not everything; "": it is.
func (x *resumers) resume(ctx context.Context, n int, token string, lacks int64) (got resumed, why string) {
	c, err := x.peer.Connect(ctx, n, token)
	if err != nil {
		return got, client.EndOf(0, nil, err)
	}
	r := resumption{conn: c, room: x.room, head: x.head, at: x.head.back(lacks)}
	r.since = r.at.since(x.room)
	why = r.run(ctx)
	c.Leave()
	return r.got, why
}

type resumption struct {
	conn     *client.Conn
	room     string
	head, at positions // to be had, and had so far
	since    string    // what it asked for
	id       int       // of the last request
	joined   bool
	got      resumed
}

// run asks and reads until everything has come.
func (r *resumption) run(ctx context.Context) (why string) {
	if err := r.ask(); err != nil {
		return client.EndOf(0, nil, err)
	}
	for !r.joined || !r.level() {
		op, p, err := r.conn.Next()
		switch {
		case err != nil || op == proto.OpClose:
			return client.EndOf(op, p, err)
		case op == proto.OpPing:
			if err := r.conn.Send(proto.OpPong, p); err != nil {
				return client.EndOf(0, nil, err)
			}
		case bytes.HasPrefix(p, []byte(`{"room":"`)):
			why = r.record(p)
		case op == proto.OpText:
			why = r.notice(ctx, p)
		}
		if why != "" {
			return why
		}
	}
	return ""
}

func (r *resumption) ask() error {
	r.id++
	return r.conn.Send(proto.OpText, fmt.Appendf(nil, proto.PastRequest(r.since), proto.List([]string{r.room}), r.id))
}

// level reports whether the client has everything that existed when it was due.
func (r *resumption) level() bool {
	for partition, last := range r.head.last {
		if r.at.last[partition] < last {
			return false
		}
	}
	return true
}

// record takes a message of a room. It must be the next one of its partition.
func (r *resumption) record(p []byte) (why string) {
	env, value, ok := bytes.Cut(p, []byte(`,"data":`))
	room, isRoom := proto.Member(env, `{"room":"`)
	pos, hasPos := proto.Member(env, `,"pos":"`)
	partition, offset, isPos := proto.ParsePos(pos)
	if !ok || !isRoom || !hasPos || !isPos || string(room) != r.room {
		return "a message without room, pos or data"
	}
	switch last, known := r.at.last[partition]; {
	case known && offset <= last:
		return "a message came twice"
	case known && offset != last+1:
		return "a message was left out"
	}
	r.at.last[partition] = offset
	r.got.records++
	r.got.bytes += int64(len(value) - len("}"))
	return ""
}

// notNow is the error code for a request that may be made again after retryAfter.
const notNow = -32010

// notice takes a message that is not a room's. If told to ask again later, the client does so.
func (r *resumption) notice(ctx context.Context, p []byte) (why string) {
	var m proto.Message
	if err := json.Unmarshal(p, &m); err != nil {
		return "a message that is not JSON"
	}
	if m.Method == "gap" || m.Method == "reset" {
		return "got a notice: " + m.Method
	}
	if m.Method != "" || string(m.ID) != fmt.Sprint(r.id) {
		return ""
	}
	fault := m.Error
	if fault == nil && len(m.Result.Rooms) == 1 {
		fault = m.Result.Rooms[0].Error
	}
	switch {
	case fault != nil && fault.Code == notNow && fault.Data.RetryAfter > 0:
		r.got.notNow++
		if machine.Pause(ctx, time.Duration(fault.Data.RetryAfter)*time.Millisecond) != nil {
			return client.NoAnswer
		}
		if err := r.ask(); err != nil {
			return client.EndOf(0, nil, err)
		}
		return ""
	case fault != nil:
		return fmt.Sprintf("%d %s", fault.Code, fault.Message)
	case len(m.Result.Rooms) != 1:
		return "an answer without the room"
	case m.Result.Rooms[0].Recovered != nil && !*m.Result.Rooms[0].Recovered:
		return "not recovered"
	}
	r.joined = true
	return ""
}

// greedyOnes are the hostile processes of a run: one for the clients that ask repeatedly,
// and one for each client that stalls, with its token.
type greedyOnes struct {
	workers []*pool.Worker
	greedy  bool // the first process is that of the greedy clients
	running sync.WaitGroup
	tally   []hostile.Tally
	errs    []error
}

// longestRun is when hostile clients end by themselves.
const longestRun = time.Hour

func (r *resumesRun) startGreedy(ctx context.Context) (*greedyOnes, error) {
	c := &r.cfg
	j := hostile.Job{
		Job: client.Job{Endpoint: r.end.Endpoint}, Kind: "resume", Connections: c.Greedy, Keys: c.Target.Keys,
		Room: c.GreedyRoom, Rate: c.GreedyRate,
	}
	j.Sources = bench.HostileSources(10)
	var jobs []hostile.Job
	if c.Greedy > 0 {
		jobs = append(jobs, j)
	}
	for k := range c.Stalled {
		user := fmt.Sprint("stalled-", k+1)
		token, err := r.sign.Sign(user)
		if err != nil {
			return nil, err
		}
		one := j
		one.Kind, one.Connections, one.Keys = "stalled", 1, job.Keys{Token: token}
		one.Room = strings.ReplaceAll(c.GreedyRoom, "{user}", user)
		jobs = append(jobs, one)
	}
	g := &greedyOnes{greedy: c.Greedy > 0, tally: make([]hostile.Tally, len(jobs)), errs: make([]error, len(jobs))}
	for k, j := range jobs {
		w, err := bench.StartHostile(ctx, j, machine.StartLast)
		if err != nil {
			g.stop()
			return nil, err
		}
		g.workers = append(g.workers, w)
		g.running.Go(func() {
			g.errs[k] = w.Ask(hostile.Order{From: machine.MonotonicIn(0), To: machine.MonotonicIn(longestRun)},
				&g.tally[k])
		})
	}
	return g, nil
}

// tallies ends the processes, and returns their tallies.
func (g *greedyOnes) tallies() (greedy, stalled *hostile.Tally, err error) {
	for _, w := range g.workers {
		_ = w.In.Close() // ends the attack
	}
	g.running.Wait()
	g.stop()
	for k := range g.tally {
		if g.errs[k] != nil {
			return nil, nil, g.errs[k]
		}
		if k == 0 && g.greedy {
			greedy = &g.tally[k]
			continue
		}
		if stalled == nil {
			stalled = &hostile.Tally{}
		}
		job.Add(stalled, &g.tally[k])
	}
	return greedy, stalled, nil
}

func (g *greedyOnes) stop() {
	for _, w := range g.workers {
		w.Stop()
	}
	g.workers = nil
}
