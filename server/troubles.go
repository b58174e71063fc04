package server

import "fmt"

// troubles are all ways in which the gateway sheds, refuses or drops. What is
// added here shows in /health and has its line in the log; the functions take no
// lock that a loop, a poller, an appender or a reader may hold for long.
func (s *Server) troubles() []trouble {
	list := []trouble{
		{name: "turned_away", service: "ConnectionManager", count: s.turnedAway,
			text: "sockets are dropped before they are answered: too many say nothing, or are beyond a limit"},
		{name: "proxy_headers_refused", service: "ConnectionManager", count: s.headersRefused,
			text: "trusted proxies send no good PROXY protocol header: turn it on there, or mend server.proxy.trusted"},
		{name: "tapes_shed", service: "ConnectionManager", count: func() uint64 { return s.table.Stats().Shed },
			text: "chunks of tapes are dropped before their time: memory.tapes is reached"},
		{name: "last_values_full", service: "ConnectionManager", bad: s.lastValuesFull,
			text: "their rooms are partial: give memory.last_values more"},
		{name: "log_dropped", service: "ConnectionManager", count: s.logDropped,
			text: "log lines are dropped: what reads the log is too slow or gone, or its disk is full"},
		{name: "rooms_refused", service: "KafkaConsumer", count: func() uint64 { return s.table.Stats().Refused },
			text: "records are dropped that would need one room too many: max_rooms is reached, or their rooms' names are bad"},
		{name: "dead_letters_lost", service: "KafkaConsumer", count: s.deadLettersLost,
			text: "bad records could not be stored in kafka.dead_letter"},
		{name: "recall_refused", service: "KafkaConsumer", count: s.recallRefused,
			text: "clients could not be sent what no tape holds any more"},
		{name: "admin_connections", service: "ConnectionManager", count: s.adminDropped,
			text: "connections to the internal port are closed: there are too many"},
		{name: "admin_busy", service: "RateLimiter", count: s.gate.refused[refusedBusy].Load,
			text: "requests to the internal port are sent away: there are too many at a time"},
	}
	for k := range limitKinds {
		if k.sheds() {
			list = append(list, trouble{name: "limit_" + k.String(), service: "RateLimiter", count: s.limit.refused[k].Load,
				text: "clients are refused: " + k.key() + " is reached"})
		}
	}
	return list
}

// lastValuesFull reports whether last values are at their budget. All nodes hold the
// same, so it degrades, and takes no readiness.
func (s *Server) lastValuesFull() (bool, string) {
	t := s.table.Stats()
	return t.LastFull, fmt.Sprintf("memory.last_values (%s) is reached: %d of the oldest last values were forgotten", s.cfg.LastValues(), t.OutOfMemory)
}

// sheds reports whether the limit turns somebody away. The others refuse a single
// request that asks for more than any client may have.
func (k limitKind) sheds() bool {
	switch k {
	case limitRooms, limitWildcards, limitWildcardRooms, limitEmptyRooms:
		return false
	case limitClosing: // they were to go anyway
		return false
	}
	return true
}

// key is what an operator sets.
func (k limitKind) key() string {
	if k == limitTLSWaiting {
		return "server.tls.waiting"
	}
	return "limits." + k.String()
}

func (s *Server) headersRefused() uint64 {
	if e := s.engine.Load(); e != nil {
		return e.Stats().HeadersRefused
	}
	return 0
}

func (s *Server) turnedAway() uint64 {
	if e := s.engine.Load(); e != nil {
		return e.Stats().TurnedAway
	}
	return 0
}

func (s *Server) deadLettersLost() uint64 {
	if c := s.consumer.Load(); c != nil {
		return c.DeadLettersLost()
	}
	return 0
}

func (s *Server) recallRefused() uint64 {
	if c := s.consumer.Load(); c != nil {
		return c.RecallStats().Refused
	}
	return 0
}
