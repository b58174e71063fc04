package plan

import (
	"math"

	"tapecast/bench/proto"
)

// Model is what a gateway's work costs on one machine, as Calibrate found it.
//
// A loop visits each connection that lacks something, and sends everything that it lacks in
// one system call. That costs Send for the call, Frame for each frame in it, Byte for each
// byte, and more for the bytes of long sends. If the passes over a room's members end before
// its next message, each send carries one frame. If not, the loop is always busy. Then more
// frames gather during a longer pass, and each send carries more of them. So a busy loop is
// not a full loop. The time of a pass grows with the load, and with it the age of the
// messages.
type Model struct {
	// CPU, in seconds.
	Base float64 `json:"base_cores"` // of a gateway that has nothing to do
	Idle float64 `json:"idle_s"`     // a connection's pings, for each second
	Send float64 `json:"send_s"`     // a send of a loop that is always busy and has few connections
	// added to a send if the loop has many connections: they are not in the caches any more
	Many  float64 `json:"many_s"`
	Cold  float64 `json:"cold_s"`  // added to a send if the loop rests: other work has used the processor meanwhile
	Chill float64 `json:"chill_s"` // added if the loop rests and has many connections
	Crowd float64 `json:"crowd"`   // connections of a loop that count as many: the most that were measured
	Wake  float64 `json:"wake_s"`  // a batch of records that wakes a gateway at rest
	Frame float64 `json:"frame_s"` // a frame that is sent
	Byte  float64 `json:"byte_s"`  // a byte that is sent
	// added to a byte in a send as long as Visit; in a shorter send proportionally less
	Long float64 `json:"long_s"`
	// bytes of the longest sends, by a loop that could not send everything; the bound of any send. 0: unknown
	Visit     float64 `json:"visit_bytes"`
	Record    float64 `json:"record_s"`    // a record, from its topic to its tapes
	Handshake float64 `json:"handshake_s"` // a handshake, from connect to joined
	LoopShare float64 `json:"loop_share"`  // time that a loop waits for a send, relative to the send's CPU

	// Memory, in bytes.
	Resident   float64 `json:"resident"`            // of a gateway without connections
	Connection float64 `json:"resident_connection"` // of a connection
	Tape       float64 `json:"resident_tape"`       // of a byte on tapes
	Kernel     float64 `json:"kernel_connection"`   // kernel memory of a connection's own end

	// Envelope is how many bytes a frame has beyond its record's value.
	Envelope float64 `json:"envelope"`

	// Latency from due to read, in ms: the floor when nothing else goes on, and factors of
	// the pass for loops that rest between passes and for loops that do not.
	Floor50  float64 `json:"floor_p50_ms"`
	Floor99  float64 `json:"floor_p99_ms"`
	Rest50   float64 `json:"rest_p50"`
	Rest99   float64 `json:"rest_p99"`
	Always50 float64 `json:"always_p50"`
	Always99 float64 `json:"always_p99"`
}

// Stream is one kind of message that a node's connections get.
type Stream struct {
	Name    string  `json:"name,omitempty"`
	Rooms   float64 `json:"rooms"`   // with members
	Members float64 `json:"members"` // of one room, on the node
	Rate    float64 `json:"rate"`    // messages a second in one room
	Size    float64 `json:"size"`    // bytes of a value

	// Every is the least time between two sends to a member, in seconds. 0: none.
	Every float64 `json:"every,omitempty"`
	// Keys is the number of keys if a send holds only the newest message of each. 0: it
	// holds all messages.
	Keys float64 `json:"keys,omitempty"`
}

// sent returns a member's sends a second and their frames, if passes end before the next send.
func (s *Stream) sent() (sends, frames float64) {
	if s.Every*s.Rate <= 1 {
		return s.Rate, 1
	}
	sends, frames = 1/s.Every, s.Every*s.Rate
	if s.Keys > 0 { // how many keys occur in so many messages to random keys
		frames = s.Keys * -math.Expm1(-frames/s.Keys)
	}
	return sends, math.Max(1, frames)
}

// Load is the work of one node.
type Load struct {
	Connections float64  `json:"connections"`
	Loops       float64  `json:"loops"`
	Streams     []Stream `json:"streams"`
	TapeBytes   float64  `json:"tape_bytes"`
	Skipped     float64  `json:"skipped"` // records a second for rooms without members on the node
}

// Forecast is what a Load leads to.
type Forecast struct {
	Cores     float64 `json:"cores"`     // CPU seconds a second, of all threads
	LoopBusy  float64 `json:"loop_busy"` // share of a loop's time; 1: always busy, and sends carry more than one frame
	PerSend   float64 `json:"per_send"`  // frames
	Delivered float64 `json:"delivered"` // messages a second
	Bytes     float64 `json:"bytes"`     // a second, frames with their headers
	Pass      float64 `json:"pass_ms"`   // the longest: over all members of a room on one loop
	P50       float64 `json:"p50_ms"`    // from due to read
	P99       float64 `json:"p99_ms"`    //
	Resident  float64 `json:"resident"`  // bytes
	Kernel    float64 `json:"kernel"`    // bytes
	Full      float64 `json:"full"`      // share of the most that a loop can send, however many frames a send carries
	Saturated bool    `json:"saturated"` // Full is 1 or more: no pass is long enough
}

// Predict returns what a node with this load needs, and how old its messages get.
func (m *Model) Predict(l Load) Forecast {
	loops := math.Max(l.Loops, 1)
	f := Forecast{Resident: m.Resident + l.Connections*m.Connection + l.TapeBytes*m.Tape,
		Kernel: l.Connections * m.Kernel}
	// CPU in parts: marginal is for frames and bytes, whatever the sends. single is for the
	// bytes of long sends while loops rest. appended counts records of rooms with members,
	// and calls counts sends.
	var marginal, single, appended, calls, held float64
	for _, s := range l.Streams {
		sends, frames := s.sent()
		n := s.Rooms * s.Members * sends
		d := n * frames
		f.Delivered += d
		f.Bytes += d * m.wire(s)
		marginal += d * (m.Frame + m.Byte*m.wire(s))
		single += n * m.long(frames*m.wire(s))
		appended += s.Rooms * s.Rate
		calls += n
		if frames > 1 { // a message waits for the next send: up to Every
			held = math.Max(held, 1e3*s.Every)
		}
	}
	rest := m.Base + l.Connections*m.Idle + (appended+l.Skipped)*m.Record
	wait := m.LoopShare / loops // time that one loop waits, for each second of CPU
	if f.PerSend = 1; calls > 0 {
		f.PerSend = f.Delivered / calls
	}
	// First case: no more frames in a send than that. A resting loop pays more for a send.
	warm, cold := m.sending(l.Connections / loops)
	busy := busyOf(wait*(marginal+single+calls*warm), wait*calls*cold)
	visited := visited(l)
	var round float64
	round, f.Full = m.round(visited, warm, marginal, f.Bytes, wait)
	if busy <= 1 {
		send := warm + cold*thaw(busy)
		f.LoopBusy, f.Cores = busy, rest+busy/wait+batches(appended)*m.Wake*(1-busy)
		for _, s := range l.Streams {
			sends, frames := s.sent()
			pass := s.Members * (send + frames*(m.Frame+m.Byte*m.wire(s)) + m.long(frames*m.wire(s))) * wait
			others := busy - pass*s.Rooms*sends
			pass /= math.Max(1-others, 0.05) // the rest of the work takes turns with this pass
			f.Pass = math.Max(f.Pass, 1e3*pass)
		}
		f.P50, f.P99 = m.Floor50+m.Rest50*f.Pass+held/2, m.Floor99+m.Rest99*f.Pass+0.99*held
		return f
	}
	f.LoopBusy = 1
	if f.Full >= 1 {
		f.Saturated, f.Cores, f.Pass, f.P50, f.P99 = true, rest+1/wait, math.Inf(1), math.Inf(1), math.Inf(1)
		f.PerSend = math.Inf(1)
		return f
	}
	f.PerSend = math.Max(f.PerSend, f.Delivered*round/visited)
	sends := f.Delivered / f.PerSend
	f.Cores = rest + marginal + sends*(warm+m.long(f.Bytes/sends))
	f.Pass = 1e3 * round
	f.P50, f.P99 = m.Floor50+m.Always50*f.Pass+held/2, m.Floor99+m.Always99*f.Pass+0.99*held
	return f
}

// long returns the extra cost of a send with so many bytes, beyond Byte for each.
func (m *Model) long(bytes float64) float64 {
	if m.Visit == 0 {
		return 0
	}
	return m.Long * bytes * bytes / m.Visit
}

// round returns how long a loop that is always busy takes for one round, in seconds. In a
// round it visits every connection that got anything, and sends it everything that came
// meanwhile. The round is the r of
// r = wait · (visited · (warm + long(bytes · r ÷ visited)) + marginal · r). full is the
// share of the time that rounds take at best, however long they are. If it is 1 or more,
// there is no such r.
func (m *Model) round(visited, warm, marginal, bytes, wait float64) (round, full float64) {
	if visited == 0 {
		return 0, 0
	}
	a, b, c := 0.0, wait*marginal, wait*visited*warm
	full = b
	if m.Visit > 0 && bytes > 0 {
		a = wait * m.Long * bytes * bytes / (visited * m.Visit)
		best := math.Min(math.Sqrt(c/a), m.Visit*visited/bytes)
		full += a*best + c/best
	}
	if full >= 1 {
		return math.Inf(1), full
	}
	return 2 * c / (1 - b + math.Sqrt((1-b)*(1-b)-4*a*c)), full
}

// slowed returns the model of a machine that takes more CPU for all work, by a factor.
func (m *Model) slowed(by float64) Model {
	s := *m
	for _, x := range []*float64{&s.Base, &s.Idle, &s.Send, &s.Many, &s.Cold, &s.Chill, &s.Wake, &s.Frame, &s.Byte,
		&s.Long, &s.Record, &s.Handshake} {
		*x *= by
	}
	return s
}

// sending returns what a send costs a loop with so many connections: warm if the loop is
// always busy, and cold more if it does nothing else.
func (m *Model) sending(connections float64) (warm, cold float64) {
	return m.Send + m.Many*many(connections, m.Crowd), m.Cold + m.Chill*chill(connections, m.Crowd)
}

// many returns the share of Many that a send costs with so many connections, chill the
// share of Chill. The cube in chill and the square in thaw fitted the points of three
// calibrations best. many is linear: that fits three of four calibrations better than a
// share that is full at half a crowd, and the fourth (with TLS) as well.
func many(connections, crowd float64) float64 {
	if crowd == 0 {
		return 0
	}
	return math.Min(1, connections/crowd)
}

func chill(connections, crowd float64) float64 { return math.Pow(many(connections, crowd), 3) }

// thaw returns the share of Cold and Chill that a send costs a loop with so much of its time busy.
func thaw(busy float64) float64 { return (1 - busy) * (1 - busy) }

// busyOf returns the share of its time that a loop is busy. Its sends take the share warm,
// and more of cold as thaw says: the b of b = warm + cold·thaw(b). From 1 on the loop is
// always busy.
func busyOf(warm, cold float64) float64 {
	if warm >= 1 || cold == 0 {
		return warm
	}
	half := cold + 0.5
	return (half - math.Sqrt(half*half-cold*(warm+cold))) / cold
}

// batches returns how many batches a second so many records come in. With more records,
// more are read together. The 500 fitted best for 20,000 records a second to few members.
func batches(records float64) float64 { return records / (1 + records/500) }

func (m *Model) wire(s Stream) float64 {
	payload := s.Size + m.Envelope
	return payload + float64(proto.FrameOverhead(int(payload)))
}

// visited returns how many connections get anything at all.
func visited(l Load) float64 {
	var n float64
	for _, s := range l.Streams {
		n += s.Rooms * s.Members
	}
	return math.Min(n, l.Connections)
}
