package plan

import (
	"math"

	"tapecast/bench/proto"
)

// Model is what a gateway's work costs on one machine, as Calibrate found it. All
// that Predict says follows from it.
//
// A loop visits each connection that lacks something and sends all that it lacks in
// one system call. That costs Send for the call, Frame for each frame in it and Byte
// for each byte, the bytes of long sends more. While the passes over a room's members
// end before its next message, each send carries one frame; from there on the loop is
// always busy, and what a longer pass lets gather makes each send carry more. So a busy
// loop is no full loop: what grows with the load is the time of a pass, and with it the
// age of what is sent.
type Model struct {
	// CPU, in seconds.
	Base float64 `json:"base_cores"` // of a gateway that has nothing to do
	Idle float64 `json:"idle_s"`     // a connection's heartbeats, each second
	Send float64 `json:"send_s"`     // each send of a loop that is always busy, where it has few connections
	// each send's more where it has many: they are not in the caches when their turn comes
	Many  float64 `json:"many_s"`
	Cold  float64 `json:"cold_s"`  // each send's more of a loop that rests: others have had the processor
	Chill float64 `json:"chill_s"` // and of one that has many connections and rests
	Crowd float64 `json:"crowd"`   // so many connections of a loop are as many as it has been measured with
	Wake  float64 `json:"wake_s"`  // each batch of records that comes to a gateway at rest
	Frame float64 `json:"frame_s"` // each frame sent
	Byte  float64 `json:"byte_s"`  // each byte sent
	// each byte's more of a send as long as Visit; of a shorter one by as much as it is shorter
	Long float64 `json:"long_s"`
	// the longest sends there were, of a loop that could not send all: no send carries more. 0: not known
	Visit     float64 `json:"visit_bytes"`
	Record    float64 `json:"record_s"`    // each record, from where it is published to its tapes
	Handshake float64 `json:"handshake_s"` // each, from connect to joined
	LoopShare float64 `json:"loop_share"`  // of the CPU of sends, what the loop's goroutine waits for

	// Memory, in bytes.
	Resident   float64 `json:"resident"`            // of a gateway without connections
	Connection float64 `json:"resident_connection"` // for each
	Tape       float64 `json:"resident_tape"`       // for each byte on tapes
	Kernel     float64 `json:"kernel_connection"`   // of the kernel, for each connection's own end

	// Envelope is what a frame has beyond its record's value, in bytes.
	Envelope float64 `json:"envelope"`

	// Latency from due to read, in ms: where nothing else goes on, and by the time of a
	// pass, where loops rest between passes and where they do not.
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
	Members float64 `json:"members"` // of each room, on the node
	Rate    float64 `json:"rate"`    // messages a second in each room
	Size    float64 `json:"size"`    // bytes of a value

	// Every is the least time between two sends to a member, in seconds. 0: none.
	Every float64 `json:"every,omitempty"`
	// Keys has only the newest message of each of so many keys be in a send. 0: all are.
	Keys float64 `json:"keys,omitempty"`
}

// sent is what a member is sent: so many sends a second, of so many frames each, where
// passes end before the next one is due.
func (s *Stream) sent() (sends, frames float64) {
	if s.Every*s.Rate <= 1 {
		return s.Rate, 1
	}
	sends, frames = 1/s.Every, s.Every*s.Rate
	if s.Keys > 0 { // of so many messages to keys by chance, how many keys there are
		frames = s.Keys * -math.Expm1(-frames/s.Keys)
	}
	return sends, math.Max(1, frames)
}

// Load is what one node has to do.
type Load struct {
	Connections float64  `json:"connections"`
	Loops       float64  `json:"loops"`
	Streams     []Stream `json:"streams"`
	TapeBytes   float64  `json:"tape_bytes"`
	Skipped     float64  `json:"skipped"` // records a second that nobody on the node wants
}

// Forecast is what a Load comes to.
type Forecast struct {
	Cores     float64 `json:"cores"`     // CPU seconds a second, of all threads
	LoopBusy  float64 `json:"loop_busy"` // of each loop's time; 1: always, and sends carry more than one frame
	PerSend   float64 `json:"per_send"`  // frames
	Delivered float64 `json:"delivered"` // messages a second
	Bytes     float64 `json:"bytes"`     // a second, frames with their headers
	Pass      float64 `json:"pass_ms"`   // the longest: all members of a room that one loop has
	P50       float64 `json:"p50_ms"`    // from due to read
	P99       float64 `json:"p99_ms"`    //
	Resident  float64 `json:"resident"`  // bytes
	Kernel    float64 `json:"kernel"`    // bytes
	Full      float64 `json:"full"`      // of what a loop can send, however many frames a send carries
	Saturated bool    `json:"saturated"` // Full is 1 or more: no pass is long enough
}

// Predict says what a node that does this needs, and how old its messages get.
func (m *Model) Predict(l Load) Forecast {
	loops := math.Max(l.Loops, 1)
	f := Forecast{Resident: m.Resident + l.Connections*m.Connection + l.TapeBytes*m.Tape,
		Kernel: l.Connections * m.Kernel}
	// CPU of frames and bytes, whatever the sends, and what bytes add to sends as they are
	// where passes rest; records for those who are here; sends.
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
	wait := m.LoopShare / loops // of CPU, what one loop waits for
	if f.PerSend = 1; calls > 0 {
		f.PerSend = f.Delivered / calls
	}
	// With no more frames a send than that. What sends cost more while the loop rests goes by how much it does.
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
			pass /= math.Max(1-others, 0.05) // what else is in a pass takes slices in turn with this
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

// long is what a send of so many bytes costs beyond what each costs.
func (m *Model) long(bytes float64) float64 {
	if m.Visit == 0 {
		return 0
	}
	return m.Long * bytes * bytes / m.Visit
}

// round is how long a loop that is always busy takes to visit every connection that got
// anything and to send it all that came meanwhile, in seconds: the r of
// r = wait · (visited · (warm + long(bytes · r ÷ visited)) + marginal · r). full is how
// much of the time that takes at best, however long the round: from 1 on there is none.
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

// slowed is the model of a machine that takes so many times the CPU for all work.
func (m *Model) slowed(by float64) Model {
	s := *m
	for _, x := range []*float64{&s.Base, &s.Idle, &s.Send, &s.Many, &s.Cold, &s.Chill, &s.Wake, &s.Frame, &s.Byte,
		&s.Long, &s.Record, &s.Handshake} {
		*x *= by
	}
	return s
}

// sending is what a send costs of a loop with so many connections that is always busy,
// and how much more of one that does nothing else.
func (m *Model) sending(connections float64) (warm, cold float64) {
	return m.Send + m.Many*many(connections, m.Crowd), m.Cold + m.Chill*chill(connections, m.Crowd)
}

// many is how much of Many a send takes with so many connections, chill how much of
// Chill. That this goes by the cube, and thaw by the square, is what fitted the points of
// three calibrations best. That many is linear fits those of three of four better than one
// that is full at half a crowd, and the fourth's (with TLS) as well.
func many(connections, crowd float64) float64 {
	if crowd == 0 {
		return 0
	}
	return math.Min(1, connections/crowd)
}

func chill(connections, crowd float64) float64 {
	if crowd == 0 {
		return 0
	}
	share := math.Min(1, connections/crowd)
	return share * share * share
}

// thaw is how much of Cold and Chill a send takes of a loop that is busy for such a
// share of its time.
func thaw(busy float64) float64 { return (1 - busy) * (1 - busy) }

// busyOf is the share of its time that a loop is busy whose sends take the share warm
// and, by thaw, so much of cold more: the b of b = warm + cold·thaw(b). From 1 on the
// loop is always busy.
func busyOf(warm, cold float64) float64 {
	if warm >= 1 || cold == 0 {
		return warm
	}
	half := cold + 0.5
	return (half - math.Sqrt(half*half-cold*(warm+cold))) / cold
}

// batches is in how many so many records a second come: the more there are the more
// are read together. Of 20,000 a second to hardly anybody, those 500 fit best.
func batches(records float64) float64 { return records / (1 + records/500) }

// wire is the length of a stream's frame.
func (m *Model) wire(s Stream) float64 {
	payload := s.Size + m.Envelope
	return payload + float64(proto.FrameOverhead(int(payload)))
}

// visited is how many connections get anything at all.
func visited(l Load) float64 {
	var n float64
	for _, s := range l.Streams {
		n += s.Rooms * s.Members
	}
	return math.Min(n, l.Connections)
}
