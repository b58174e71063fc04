package loop

import (
	"maps"
	"math/bits"
	"reflect"
	"slices"
	"sync"
	"time"

	"tapecast/loop/member"
	"tapecast/loop/tlsconn"
	"tapecast/rooms"
)

// LoopStats holds the figures of one loop, which alone counts them.
type LoopStats struct {
	Connections   int64 `metric:"tapecast_connections" each:"tapecast_loop_connections"` // accepted and not yet gone
	Authenticated int64 `metric:"tapecast_authenticated_connections"`
	Members       int64 `metric:"tapecast_subscriptions"` // memberships
	Wildcards     int64 `metric:"tapecast_wildcards"`     // held

	Streams           uint64 `metric:"tapecast_streams_total"`            // streams of events among the accepted
	Upgraded          uint64 `metric:"tapecast_handshakes_total"`         // answers to upgrade requests: accepted,
	Refused           uint64 `metric:"tapecast_handshakes_refused_total"` // and refused
	Files             uint64 `metric:"tapecast_files_served_total"`       // requests answered with a file
	HandshakeTimeouts uint64 `metric:"tapecast_handshake_timeouts_total"`
	PongTimeouts      uint64 `metric:"tapecast_pong_timeouts_total"`
	Resets            uint64 `metric:"tapecast_resets_total"` // connections whose close frame did not move in time

	Sends   uint64 `metric:"tapecast_sends_total"`         // system calls
	Partial uint64 `metric:"tapecast_partial_sends_total"` // sends that the kernel did not take in full
	Frames  uint64 `metric:"tapecast_messages_sent_total"` // frames of rooms, begun to be sent
	Bytes   uint64 `metric:"tapecast_bytes_sent_total"`    // that the kernel took (of TLS: encrypted), with all headers

	member.Counts
	LagClosed uint64 // members closed for lagging

	WildcardsFull uint64 `metric:"tapecast_wildcards_full_total"` // wildcards that came to a limit when a room appeared

	// Busy is what was not spent asleep. It includes time in which others had the processor.
	Busy time.Duration `each:"tapecast_loop_busy_seconds_total"`

	Visits   uint64        `metric:"tapecast_pass_visits_total"` // members visited in passes
	Passes   uint64        `metric:"tapecast_passes_total"`
	PassTime time.Duration `metric:"tapecast_pass_seconds_total"`      // of all passes, first member to last
	PassBusy time.Duration `metric:"tapecast_pass_busy_seconds_total"` // of that, in visits, not between slices
	LastPass time.Duration `sum:"most"`
	MaxPass  time.Duration `metric:"tapecast_pass_max_seconds" sum:"most"`

	SendFrames  Histogram // frames begun, of the sends that began any
	SendBytes   Histogram // taken, of each send; with TLS: before encryption, of each visit
	PassTimes   Histogram // ns, first member to last
	PassMembers Histogram // visited

	// Ages holds, by Feed.Index, how old messages were when they were sent, in ms by Kafka's
	// timestamps: see counts.aged.
	Ages []Histogram

	Inbox     int64 `metric:"tapecast_inbox_events"`                // events that waited when the figures were taken
	InboxMost int64 `metric:"tapecast_inbox_max_events" sum:"most"` // the most that have waited so far

	Blocked int64             `metric:"tapecast_blocked_connections"`       // members that wait for their sockets
	Closes  map[uint16]uint64 `metric:"tapecast_closes_total" label:"code"` // by close code
}

func (s *LoopStats) passed(d time.Duration, members int) {
	s.Passes++
	s.PassTime += d
	s.PassTimes.add(uint64(max(d, 0)), UnitPass, 1)
	s.PassMembers.add(uint64(members), UnitMembers, 1)
	s.LastPass = d
	s.MaxPass = max(s.MaxPass, d)
}

// counts holds what a loop counts, and the copy that others see.
type counts struct {
	LoopStats
	recount bool // Closes has changed
	sawAges bool // Ages has changed

	mu        sync.Mutex
	published LoopStats
}

func (s *counts) init(feeds int) {
	s.Ages, s.published.Ages = make([]Histogram, feeds), make([]Histogram, feeds)
}

func (s *counts) closed(code uint16) {
	if s.Closes == nil {
		s.Closes = map[uint16]uint64{}
	}
	s.Closes[code]++
	s.recount = true
}

// publish lets others see the figures. A busy loop calls it about once a millisecond, which is as
// long as a turn takes.
func (s *counts) publish(l *Loop) {
	s.Connections = int64(len(l.life.conns))
	s.Blocked = int64(len(l.send.blocked))
	s.Busy = l.looked - l.slept
	waiting, most := l.inbox.length()
	s.Inbox, s.InboxMost = int64(waiting+len(l.events)-l.at), int64(most)
	s.mu.Lock()
	closes, ages := s.published.Closes, s.published.Ages
	s.published = s.LoopStats
	s.published.Closes, s.published.Ages = closes, ages
	if s.sawAges {
		copy(ages, s.Ages)
		s.sawAges = false
	}
	if s.recount {
		s.published.Closes = maps.Clone(s.Closes)
		s.recount = false
	}
	s.mu.Unlock()
}

// read returns the figures of the last publish.
func (s *counts) read() LoopStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.published
	out.Closes = maps.Clone(out.Closes)
	out.Ages = slices.Clone(out.Ages)
	return out
}

// TLSStats holds the figures of TLS handshakes.
type TLSStats = tlsconn.Stats

// Stats holds the engine's figures: the sum of all loops, and each loop.
type Stats struct {
	LoopStats
	Loops        []LoopStats
	Accepted     uint64 `metric:"tapecast_accepted_total"`
	TurnedAway   uint64 `metric:"tapecast_turned_away_total"` // sockets without an answer: there were too many
	Gate         GateStats
	AcceptFailed uint64 `metric:"tapecast_accept_failures_total"`
	TLS          TLSStats
	// PutOff counts how often input was read later, by reason: the turn was over, the loop had not
	// handled earlier input yet (inbox), or more small frames came than the pace allows.
	PutOff   map[string]uint64 `metric:"tapecast_reads_put_off_total" label:"reason"`
	Incoming int64             `metric:"tapecast_incoming_bytes"` // bytes of incomplete messages
	// HeadersRefused counts trusted peers whose PROXY protocol header was missing or bad.
	HeadersRefused uint64 `metric:"tapecast_proxy_headers_refused_total"`
	// Unnamed counts requests of Forwarders whose field that names the client cannot be read.
	Unnamed uint64 `metric:"tapecast_forwarded_refused_total"`

	Pollers                int   `metric:"tapecast_pollers"`
	ConnBytes, MemberBytes int64 // memory of connections and memberships, estimated
}

// Stats adds up the loops. Without an engine all figures are 0.
func (e *Engine) Stats() Stats {
	if e == nil {
		return Stats{}
	}
	out := Stats{
		Accepted: e.net.Opened(), AcceptFailed: e.failed.Load(), TurnedAway: e.gate.turned.Load(), Gate: e.gate.stats(),
		HeadersRefused: e.misled.Load(), Unnamed: e.unnamed.Load(), TLS: e.handshakes.Stats(), Pollers: e.cfg.Pollers,
		Incoming: e.incoming.bytes(),
	}
	out.PutOff = map[string]uint64{
		"turn": e.putOff[offTurn].Load(), "inbox": e.putOff[offInbox].Load(), "pace": e.putOff[offPace].Load(),
	}
	out.Closes = map[uint16]uint64{}
	out.Ages = make([]Histogram, len(e.feeds()))
	for _, l := range e.loops {
		s := l.stats.read()
		out.Loops = append(out.Loops, s)
		out.add(&s)
	}
	out.Connections = e.conns.Load()
	out.memory(e.cfg.TLS != nil)
	return out
}

// add adds another loop's figures. Of those with the tag sum:"most" the greater one stays.
func (s *LoopStats) add(o *LoopStats) { sum(reflect.ValueOf(s).Elem(), reflect.ValueOf(o).Elem()) }

func sum(s, o reflect.Value) {
	switch s.Kind() {
	case reflect.Int64:
		s.SetInt(s.Int() + o.Int())
	case reflect.Uint64:
		s.SetUint(s.Uint() + o.Uint())
	case reflect.Array, reflect.Slice:
		for i := range s.Len() {
			sum(s.Index(i), o.Index(i))
		}
	case reflect.Map:
		for it := o.MapRange(); it.Next(); {
			n := reflect.New(s.Type().Elem()).Elem()
			if was := s.MapIndex(it.Key()); was.IsValid() {
				n.Set(was)
			}
			sum(n, it.Value())
			s.SetMapIndex(it.Key(), n)
		}
	case reflect.Struct:
		for i := range s.NumField() {
			if f, g := s.Field(i), o.Field(i); s.Type().Field(i).Tag.Get("sum") == "most" {
				f.SetInt(max(f.Int(), g.Int()))
			} else {
				sum(f, g)
			}
		}
	}
}

// Buckets is how many buckets of a Histogram have an upper end. One more holds all values above
// them.
const Buckets = 17

// Histogram counts values in buckets of doubling size. Bucket i holds values up to 1<<i times the
// histogram's unit, and above the bucket before it. It is a plain array: the loop counts in its
// own, and copies it for others.
type Histogram struct {
	Counts [Buckets + 1]uint64
	Sum    uint64 // of all values
}

// add counts a value of the given unit n times.
func (h *Histogram) add(v, unit, n uint64) {
	i := 0
	if v > unit {
		i = min(bits.Len64((v-1)/unit), Buckets)
	}
	h.Counts[i] += n
	h.Sum += v * n
}

// Count returns how many values there were.
func (h *Histogram) Count() (n uint64) {
	for _, k := range h.Counts {
		n += k
	}
	return n
}

// Units of a loop's histograms: the upper end of the first bucket.
const (
	UnitFrames  = 1
	UnitBytes   = 64
	UnitMembers = 64
	UnitPass    = 100_000 // ns
	UnitAge     = 1       // ms
)

// aged counts how old the first n frames of a piece are. The age of the first counts for half of
// them, and the age of the last for the other half, so that a loop need not look at each. wall is
// when the slice began, in ms since 1970.
func (s *counts) aged(wall int64, r *rooms.Room, p *rooms.Piece, n int) {
	f := r.Pattern().Feed
	if f == nil || f.Index() < 0 {
		return
	}
	h := &s.Ages[f.Index()]
	s.sawAges = true
	if at := p.Time(0); at > 0 {
		h.add(uint64(max(wall-at, 0)), UnitAge, uint64(n+1)/2)
	}
	if n > 1 {
		if at := p.Time(n - 1); at > 0 {
			h.add(uint64(max(wall-at, 0)), UnitAge, uint64(n)/2)
		}
	}
}
