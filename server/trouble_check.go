package server

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// trouble is one way in which the gateway gives less than it should. It degrades a
// service in /health. Exactly one of count and bad is set. Both are called by one
// goroutine, once a second, and must not block.
type trouble struct {
	name    string // short and constant: what operators search for
	service string // whose health it degrades
	text    string // what happens, and the remedy

	// count returns how much was shed so far. Going up for troubleAfter looks degrades the service.
	count func() uint64
	// bad reports whether something is wrong now, and what. It degrades at once.
	bad func() (bool, string)
}

const (
	troubleEvery = time.Second
	// troubleAfter is how many looks a counter goes up before it degrades a service, and
	// how many it must stay still before that ends.
	troubleAfter = 10
	// troubleSaid is how many looks pass between two log lines of one trouble.
	troubleSaid = 60
)

// troubleCheck checks all troubles at each look, and keeps the result for all readers. It counts
// looks, not time: a process that was stopped and continues has missed none.
type troubleCheck struct {
	log  *slog.Logger
	step sync.Mutex // a look at a time
	list []*troubleState

	mu     sync.Mutex
	detail map[string][]string // by service: what degrades it now
}

type troubleState struct {
	trouble
	seen   uint64 // of count
	told   uint64 // of seen, already logged
	looks  int    // since it began to go up; 0: it is quiet
	quiet  int    // looks since it last went up
	bound  bool   // it degrades its service
	silent int    // looks until it may be logged again
}

func newTroubleCheck(log *slog.Logger, list []trouble) *troubleCheck {
	w := &troubleCheck{log: log}
	for _, t := range list {
		w.list = append(w.list, &troubleState{trouble: t})
	}
	return w
}

func (w *troubleCheck) look() {
	w.step.Lock()
	defer w.step.Unlock()
	detail := map[string][]string{}
	for _, t := range w.list {
		said := t.look()
		if said != "" {
			detail[t.service] = append(detail[t.service], t.name+": "+said)
		}
		t.say(w.log, said)
	}
	w.mu.Lock()
	w.detail = detail
	w.mu.Unlock()
}

// look returns why the trouble degrades its service, or "" if it does not.
func (t *troubleState) look() string {
	if t.bad != nil {
		is, detail := t.bad()
		if t.bound = is; !is {
			return ""
		}
		return detail + "; " + t.text
	}
	n := t.count()
	grown := n > t.seen
	if n < t.seen { // its service was started again
		t.told = 0
	}
	t.seen = n
	switch {
	case grown:
		t.quiet = 0
		t.looks++
	case t.looks > 0:
		t.looks++
		t.quiet++
	}
	if t.quiet >= troubleAfter {
		t.looks, t.quiet, t.bound = 0, 0, false
	}
	if t.looks > troubleAfter && grown {
		t.bound = true
	}
	if !t.bound {
		return ""
	}
	return fmt.Sprintf("%d so far; %s", n, t.text)
}

// say logs how much has been added since the last line, at most once a minute.
func (t *troubleState) say(log *slog.Logger, said string) {
	if t.silent > 0 {
		t.silent--
	}
	since := t.seen - t.told
	if t.silent > 0 || since == 0 && t.bad == nil || t.bad != nil && !t.bound {
		return
	}
	t.silent, t.told = troubleSaid, t.seen
	if t.bad != nil {
		log.Warn("trouble", "name", t.name, "service", t.service, "detail", said)
		return
	}
	log.Warn("trouble", "name", t.name, "service", t.service, "count", since, "total", t.seen, "detail", t.text)
}

func (w *troubleCheck) of(service string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.detail[service]
}
