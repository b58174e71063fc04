package server

import (
	"fmt"

	"tapecast/ingest"
	"tapecast/loop"
	"tapecast/server/admin"
	"tapecast/server/limits"
)

// troubles returns all ways in which the gateway sheds, refuses or drops. An entry that is added
// here shows in /health and the log. The functions take no lock that a loop, a poller, an appender
// or a reader may hold for long.
func (s *Server) troubles() []trouble {
	list := []trouble{
		{name: "turned_away", service: "ConnectionManager", count: func() uint64 { return s.engineStats().TurnedAway },
			text: "sockets are dropped without an answer: too many send nothing, or are beyond a limit"},
		{name: "proxy_headers_refused", service: "ConnectionManager",
			count: func() uint64 { return s.engineStats().HeadersRefused },
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
		{name: "dead_letters_lost", service: "KafkaConsumer", count: s.deadLettersLost,
			text: "bad records could not be stored in kafka.dead_letter"},
		{name: "recall_refused", service: "KafkaConsumer", count: s.recallRefused,
			text: "clients that resume could not be sent what the tapes no longer hold"},
		{name: "recall_later", service: "KafkaConsumer", count: s.recallLater,
			text: "clients that resume are told to ask again later: Kafka is slow or away, kafka.recall_memory or " +
				"limits.recall_bytes is used up, or too many ask"},
		{name: "recall_taken_back", service: "KafkaConsumer",
			count: func() uint64 { return s.recallStats().TakenBack },
			text:  "clients that resume do not read: their part of kafka.recall_memory is taken back for others"},
		{name: "recall_times_refused", service: "KafkaConsumer",
			count: func() uint64 { return s.recallStats().TimesRefused },
			text:  "clients that resume from a time are told to ask again later: too many times are being looked up"},
		{name: "admin_connections", service: "ConnectionManager", count: s.adminDropped,
			text: "connections to the internal port are closed: there are too many"},
		{name: "admin_busy", service: "RateLimiter", count: func() uint64 { return s.gate.Refused(admin.Busy) },
			text: "requests to the internal port are refused: there are too many at a time"},
	}
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

func (s *Server) engineStats() (e loop.Stats) {
	if engine := s.engine.Load(); engine != nil {
		e = engine.Stats()
	}
	return e
}

func (s *Server) deadLettersLost() uint64 {
	if c := s.consumer.Load(); c != nil {
		return c.DeadLettersLost()
	}
	return 0
}

// recallRefused returns how often a client could not be sent what it lacked, now or later.
// Other clients are told to ask again (recallLater). Those that have gone are not counted.
func (s *Server) recallRefused() uint64 {
	r := s.recallStats()
	return r.RefusedBy["too_old"] + r.RefusedBy["too_much"]
}

func (s *Server) recallLater() uint64 {
	r := s.recallStats()
	return r.RefusedBy["budget"] + r.RefusedBy["slow"] + r.RefusedBy["crowd"]
}

func (s *Server) recallStats() (r ingest.RecallStats) {
	if c := s.consumer.Load(); c != nil {
		r = c.RecallStats()
	}
	return r
}
