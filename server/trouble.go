package server

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"tapecast/server/admin"
	"tapecast/server/limits"
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

// troubles returns all ways in which the gateway sheds, refuses or drops. An entry that is added
// here shows in /health and the log. The functions take no lock that a loop, a poller, an appender
// or a reader may hold for long.
func (s *Server) troubles() []trouble {
	list := []trouble{
		{name: "turned_away", service: "ConnectionManager",
			count: func() uint64 { return s.engine.Load().Stats().TurnedAway },
			text:  "sockets are dropped without an answer: too many send nothing, or are beyond a limit"},
		{name: "proxy_headers_refused", service: "ConnectionManager",
			count: func() uint64 { return s.engine.Load().Stats().HeadersRefused },
			text: "trusted proxies send no valid PROXY protocol header: enable it on the proxy, or correct " +
				"server.proxy.trusted"},
		{name: "tapes_shed", service: "ConnectionManager", count: func() uint64 { return s.table.Stats().Shed },
			text: "chunks of tapes are dropped before their time: memory.tapes is reached"},
		{name: "last_values_full", service: "ConnectionManager", bad: s.lastValuesFull,
			text: "their rooms are partial: raise memory.last_values"},
		{name: "log_dropped", service: "ConnectionManager", count: s.logDropped,
			text: "log lines are dropped: what reads the log is too slow or gone, or its disk is full"},
		{name: "rooms_refused", service: "KafkaConsumer", count: func() uint64 { return s.table.Stats().Refused },
			text: "records are dropped because their rooms may not be created: max_rooms is reached, or the names " +
				"are invalid"},
		{name: "dead_letters_lost", service: "KafkaConsumer",
			count: func() uint64 { return s.consumer.Load().DeadLettersLost() },
			text:  "bad records could not be stored in kafka.dead_letter"},
		{name: "recall_refused", service: "KafkaConsumer", count: s.recallRefused,
			text: "clients that resume could not be sent what the tapes no longer hold"},
		{name: "recall_later", service: "KafkaConsumer", count: s.recallLater,
			text: "clients that resume are told to ask again later: Kafka is slow or away, kafka.recall_memory or " +
				"limits.recall_bytes is used up, or too many ask"},
		{name: "recall_taken_back", service: "KafkaConsumer",
			count: func() uint64 { return s.consumer.Load().RecallStats().TakenBack },
			text:  "clients that resume do not read: their part of kafka.recall_memory is taken back for others"},
		{name: "recall_times_refused", service: "KafkaConsumer",
			count: func() uint64 { return s.consumer.Load().RecallStats().TimesRefused },
			text:  "clients that resume from a time are told to ask again later: too many times are being looked up"},
		{name: "admin_connections", service: "ConnectionManager", count: s.adminDropped,
			text: "connections to the internal port are closed: there are too many"},
		{name: "admin_busy", service: "RateLimiter", count: func() uint64 { return s.gate.Refused(admin.Busy) },
			text: "requests to the internal port are refused: there are too many at a time"},
	}
	list = append(list, s.expiryTroubles()...)
	for k := range limits.Kinds {
		if k.Sheds() {
			list = append(list,
				trouble{name: "limit_" + k.String(), service: "RateLimiter", count: s.limit.Refused[k].Load,
					text: "clients are refused: " + k.Key() + " is reached"})
		}
	}
	return list
}

// lastValuesFull reports whether last values are at their budget. All nodes hold the same values,
// so it degrades health but not readiness.
func (s *Server) lastValuesFull() (bool, string) {
	t := s.table.Stats()
	return t.LastFull,
		fmt.Sprintf("memory.last_values (%s) is reached: %d of the oldest last values were forgotten",
			s.cfg.LastValues(), t.OutOfMemory)
}

// recallRefused returns how often a client could not be sent what it lacked, now or later.
// Other clients are told to ask again (recallLater). Those that have gone are not counted.
func (s *Server) recallRefused() uint64 {
	r := s.consumer.Load().RecallStats()
	return r.RefusedBy["too_old"] + r.RefusedBy["too_much"]
}

func (s *Server) recallLater() uint64 {
	r := s.consumer.Load().RecallStats()
	return r.RefusedBy["budget"] + r.RefusedBy["slow"] + r.RefusedBy["crowd"]
}
