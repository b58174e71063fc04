package client

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// watch looks every 20 s whether anything came. A turn that comes late says that the machine slept.
func (t *Tape) watch() {
	t.in(turnOfSilence, func() {
		l := &t.link
		slept := t.late() > turnOfSilence
		l.silent++
		switch {
		case slept:
			t.probe(answerWithin / 2)
		case l.silent > 2:
			t.probe(answerWithin)
		default:
			t.watch()
		}
	})
}

// late returns how late the timer is. The clock that does not run while the machine sleeps is not
// asked alone. If the other one is set, the gateway is asked for an answer in vain.
func (t *Tape) late() time.Duration {
	now, due := t.options.now(), t.link.due
	return max(now.Sub(due), now.Round(0).Sub(due.Round(0)))
}

// probe asks for an answer. What was under way from a connection that is dead by now is none.
func (t *Tape) probe(within time.Duration) {
	l := &t.link
	if l.silent >= probing {
		return
	}
	l.silent, l.within = probing, within
	t.await()
	t.request("ping", nil, func(_ json.RawMessage, err *Error) {
		if err != nil && err.Code == 1006 { // the gateway has not answered
			return
		}
		l.silent = 0
		t.watch()
	})
}

func (t *Tape) await() {
	t.in(t.link.within, func() { t.lost(1006, "silent") })
}

// wake says that the network or the application is back. A timer may be late, and a connection dead.
func (t *Tape) wake(online bool) {
	l := &t.link
	if l.state == Open {
		t.probe(answerWithin / 2)
		return
	}
	if l.state != Waiting {
		return
	}
	now := t.options.now()
	if online && l.plain {
		l.tries = 0
		if soon := now.Add(t.part(time.Second, 0, 1)); soon.Before(l.due) {
			l.due = soon
		}
	}
	t.in(max(0, l.due.Sub(now)), t.dial)
}

// lost ends the connection, and decides when there is another.
func (t *Tape) lost(code int, reason string) {
	l := &t.link
	if l.state == Closed {
		return
	}
	if code == 1009 || code >= 4000 && code < 4100 {
		t.stop(code, reason)
		return
	}
	after, opened, lived := l.after, !l.opened.IsZero(), t.options.now().Sub(l.opened)
	plain := code == 1001 || code == 1006 || code == 1012 || code == 4201
	soon := plain || code == 1013 || code >= 4200
	t.cut()
	if opened && lived > goodAfter {
		l.short, l.tries = 0, 0
	} else if opened && plain {
		if l.short++; l.short <= shortInTurn {
			l.tries = 0
		}
	}
	first := 10
	if soon {
		first = 1
	}
	most := time.Duration(min(60, first<<min(l.tries, 6))) * time.Second
	l.tries++
	wait := after + t.part(most, 0.5, 0.5)
	if soon {
		wait = after + t.part(most, 0, 1)
	}
	l.plain = code == 1006 && after == 0
	t.in(wait, t.dial)
	t.set(Waiting, Ending{code, reason, wait})
}

// cut ends the connection, and all that belongs to it.
func (t *Tape) cut() {
	l := &t.link
	calls := l.calls
	l.turn++
	if l.end != nil {
		l.end()
	}
	l.out, l.after, l.opened, l.renewing, l.odd = nil, 0, time.Time{}, false, false
	t.timers.stop(l.timer)
	l.calls = map[uint64]done{}
	t.left()
	for _, id := range slices.Sorted(maps.Keys(calls)) {
		calls[id](nil, failure(1006, "the connection was lost before the answer"))
	}
}

// stop ends the client.
func (t *Tape) stop(code int, reason string) {
	l := &t.link
	if l.state == Closed {
		return
	}
	l.state = Closed
	t.save()
	t.timers.list = nil
	l.timer = nil
	t.cut()
	t.set(Closed, Ending{Code: code, Reason: reason})
	for _, c := range l.queue {
		c.done(nil, failure(1006, "the client is closed"))
	}
	l.queue = nil
}
