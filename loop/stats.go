package loop

import (
	"maps"
	"math/bits"
	"slices"
	"sync"
	"time"

	"tapecast/loop/member"
	"tapecast/loop/tlsconn"
	"tapecast/rooms"
)

// LoopStats holds the figures of one loop, which alone counts them.
type LoopStats struct {
	Connections   int64 // accepted and not yet gone
	Authenticated int64
	Members       int64 // memberships
	Wildcards     int64 // held

	Upgraded, Refused uint64 // answers to upgrade requests
	Files             uint64 // requests answered with a file
	HandshakeTimeouts uint64
	PongTimeouts      uint64
	Resets            uint64 // connections whose close frame did not move in time

	Sends   uint64 // system calls
	Partial uint64 // sends that the kernel did not take in full
	Frames  uint64 // frames of rooms, begun to be sent
	Bytes   uint64 // taken by the kernel (of TLS: encrypted for it), all headers included

	member.Counts
	LagClosed uint64 // members closed for lagging

	WildcardsFull uint64 // wildcards that came to a limit when a room appeared

	Busy time.Duration // not spent asleep; it includes time in which others had the processor

	Visits   uint64 // members visited in passes
	Passes   uint64
	PassTime time.Duration // of all passes, first member to last
	PassBusy time.Duration // of that, in visits; the rest is other work between slices
	LastPass time.Duration
	MaxPass  time.Duration

	SendFrames  Histogram // frames begun, of the sends that began any
	SendBytes   Histogram // taken, of each send; with TLS: before encryption, of each visit
	PassTimes   Histogram // ns, first member to last
	PassMembers Histogram // visited

	// Ages holds, by Feed.Index, how old messages were when they were sent, in ms by Kafka's
	// timestamps: see counts.aged.
	Ages []Histogram

	Inbox     int64 // events that waited in the inbox when the figures were taken
	InboxMost int64 // the most that have waited so far

	Blocked int64             // members that wait for their sockets
	Closes  map[uint16]uint64 // by close code
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
	Accepted     uint64
	TurnedAway   uint64 // sockets dropped without an answer, because there were too many
	Gate         GateStats
	AcceptFailed uint64
	TLS          TLSStats
	PutOff       PutOffs
	Incoming     int64 // bytes of incomplete messages
	// HeadersRefused counts trusted peers whose PROXY protocol header was missing or bad.
	HeadersRefused uint64
	// Unnamed counts requests of Forwarders whose field that names the client cannot be read.
	Unnamed uint64

	Pollers                int
	ConnBytes, MemberBytes int64 // memory of connections and memberships, estimated
}

// PutOffs counts how often input was read later, by reason.
type PutOffs struct {
	Turn  uint64 // the turn was over
	Inbox uint64 // the loop had not handled earlier input yet
	Pace  uint64 // more small frames came than the pace allows
}

// Stats adds up the loops.
func (e *Engine) Stats() Stats {
	out := Stats{
		Accepted: e.net.Opened(), AcceptFailed: e.failed.Load(), TurnedAway: e.gate.turned.Load(), Gate: e.gate.stats(),
		HeadersRefused: e.misled.Load(), Unnamed: e.unnamed.Load(), TLS: e.handshakes.Stats(), Pollers: e.cfg.Pollers,
		Incoming: e.incoming.bytes(),
	}
	out.PutOff = PutOffs{
		Turn: e.putOff[offTurn].Load(), Inbox: e.putOff[offInbox].Load(), Pace: e.putOff[offPace].Load(),
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

func (s *LoopStats) add(o *LoopStats) {
	s.Connections += o.Connections
	s.Authenticated += o.Authenticated
	s.Members += o.Members
	s.Wildcards += o.Wildcards
	s.WildcardsFull += o.WildcardsFull
	s.Upgraded += o.Upgraded
	s.Refused += o.Refused
	s.Files += o.Files
	s.HandshakeTimeouts += o.HandshakeTimeouts
	s.PongTimeouts += o.PongTimeouts
	s.Resets += o.Resets
	s.Sends += o.Sends
	s.Partial += o.Partial
	s.Frames += o.Frames
	s.Bytes += o.Bytes
	s.Gaps += o.Gaps
	s.GapFrames += o.GapFrames
	s.LagClosed += o.LagClosed
	s.Conflated += o.Conflated
	s.Snapshots += o.Snapshots
	s.Visits += o.Visits
	s.Passes += o.Passes
	s.PassTime += o.PassTime
	s.LastPass = max(s.LastPass, o.LastPass)
	s.MaxPass = max(s.MaxPass, o.MaxPass)
	s.Inbox += o.Inbox
	s.InboxMost = max(s.InboxMost, o.InboxMost)
	s.Blocked += o.Blocked
	s.Busy += o.Busy
	s.PassBusy += o.PassBusy
	s.SendFrames.merge(&o.SendFrames)
	s.SendBytes.merge(&o.SendBytes)
	s.PassTimes.merge(&o.PassTimes)
	s.PassMembers.merge(&o.PassMembers)
	for i := range o.Ages {
		s.Ages[i].merge(&o.Ages[i])
	}
	for code, n := range o.Closes {
		s.Closes[code] += n
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

func (h *Histogram) merge(o *Histogram) {
	for i, n := range o.Counts {
		h.Counts[i] += n
	}
	h.Sum += o.Sum
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
