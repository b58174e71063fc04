package worker

import (
	"testing"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/proto"
)

// A ping counts from when it was due, and so do those behind a late answer. Refused and
// unanswered pings are counted apart.
func TestPinger(t *testing.T) {
	const ms = int64(time.Millisecond)
	x := newPinger(job.Order{From: 1000 * ms, Timed: 1100 * ms, To: 1400 * ms, Every: 100 * time.Millisecond}, 2)
	for n, want := range []int64{1000, 1050, 1100, 1150, 1200} {
		if got := x.due(int64(n)); got != want*ms {
			t.Errorf("ping %d is due at %d", n, got/ms)
		}
	}
	x.sent, x.waiting = []int32{4, 4}, 8
	answer := func(i int, id string, at int64, code int, want bool) {
		t.Helper()
		m := proto.Message{ID: []byte(id)}
		if code != 0 {
			m.Error = &proto.Fault{Code: code}
		}
		if got := x.answeredBy(i, &m, at*ms); got != want {
			t.Errorf("id %s of client %d: %v", id, i, got)
		}
	}
	answer(0, "1000", 1001, 0, true) // in the warmup: not timed
	answer(0, "1001", 1400, 0, true) // due at 1100: 300 ms
	answer(0, "1002", 1400, 0, true) // due at 1200: 200 ms
	answer(0, "1002", 1401, 0, false)
	answer(0, "1004", 1401, 0, false) // never sent
	answer(0, "3", 1401, 0, false)
	answer(0, "null", 1401, 0, false)
	answer(1, "1000", 1051, -32004, true)
	x.settle(1500 * ms) // unanswered: client 0's of 1300, client 1's of 1150, 1250 and 1350
	x.settle(9000 * ms) // once only
	q := x.out.Latency.Quantiles()
	if x.waiting != 4 || x.out.Refused != 1 || x.out.Unanswered != 4 || q.Count != 6 || q.Max != 350 || q.P50 < 199 {
		t.Fatalf("waiting %d, %+v, %v", x.waiting, x.out, q)
	}
}
