package worker

import (
	"fmt"
	"strconv"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/proto"
)

// Ids of the requests with which clients leave and return.
const (
	leaveID  = 3
	returnID = 4
)

// churnPatience is how long clients that are away at the end may take to come back.
const churnPatience = 10 * time.Second

type churner struct {
	order job.Order
	tries int        // so far: one client after the other
	next  int64      // when the next client is due to leave
	back  []comeback // clients that are away, in the order in which they left
	due   []int64    // by client: when what it waits for was due; 0: it waits for nothing
	out   *job.ChurnTally
}

func newChurner(o job.Order) *churner {
	c := &churner{order: o, next: o.From, due: make([]int64, o.Clients)}
	c.out = &job.ChurnTally{Leave: job.NewHist(), Return: job.NewHist()}
	c.out.Clients = o.Clients
	return c
}

func (x *churner) step(l *loop, now int64) bool {
	for ; x.next <= now && x.next < x.order.To && len(x.due) > 0; x.next += int64(x.order.Every) {
		i := x.tries % len(x.due)
		x.tries++
		c := &l.clients[i]
		if x.due[i] != 0 || c.state != stJoined {
			x.out.Skipped++
			continue
		}
		x.due[i] = x.next
		l.ask(i, c, fmt.Sprintf(proto.LeaveRequest, proto.List(l.roomsOf(i)), leaveID))
	}
	for len(x.back) > 0 && x.back[0].at <= now {
		i := x.back[0].client
		x.due[i] = x.back[0].at
		x.back = x.back[1:]
		if c := &l.clients[i]; c.state == stJoined {
			l.reader.out[i] = false // from now on the gateway may send again
			l.ask(i, c, fmt.Sprintf(`{"method":"subscribe","params":{"rooms":%s,"snapshot":false%s},"id":%d}`,
				proto.List(l.roomsOf(i)), l.since(i), returnID))
		}
	}
	return now < x.order.To || x.out.Returned < x.out.Left && now < x.order.To+int64(churnPatience)
}

func (x *churner) answered(l *loop, i int, m *proto.Message, now int64) error {
	id, _ := strconv.Atoi(string(m.ID)) // 0 for an id that is not a number
	if id != leaveID && id != returnID || i >= len(x.due) {
		return nil
	}
	if m.Result.Refused() {
		return fmt.Errorf("a client that came back was refused: %.200s", proto.JSON(m.Result.Rooms))
	}
	due := x.due[i]
	if id == leaveID {
		x.out.Left++
		x.out.Leave.Record(now - due)
		x.back = append(x.back, comeback{at: now + int64(x.order.Away), client: i})
		l.reader.out[i] = true
		l.keep(i, m.Result.Positions())
		return nil
	}
	x.out.Returned++
	x.out.Return.Record(now - due)
	x.due[i] = 0
	if !x.order.Resume {
		l.reader.returned(i, now)
	}
	return nil
}
