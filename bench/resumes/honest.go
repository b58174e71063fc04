package resumes

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"tapecast/bench"
	"tapecast/bench/client"
	"tapecast/bench/hostile"
	"tapecast/bench/job"
	"tapecast/bench/machine"
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
