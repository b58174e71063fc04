package plan

import (
	"cmp"
	"math"
	"slices"

	"tapecast/bench/job"
	"tapecast/bench/text"
)

// Config is a question: how many nodes, of what size, for this.
type Config struct {
	Connections float64
	Streams     []Feed
	P99         float64  // ms, from due to read, at the peak: how fresh messages are to be
	Cores       float64  // of a node. 0: 4
	Memory      float64  // of a node, in bytes. 0: 4 GiB a core
	Link        float64  // of a node, in bytes a second. 0: 10 Gbit/s
	Spare       float64  // nodes that may be lost at the peak without the P99 being missed
	Retain      float64  // seconds that tapes go back. 0: 30
	Kept        float64  // heap that the tapes may take on a node. 0: 1 GiB
	Corrected   []string // what Calibration.Correct has said, to be repeated
}

// Feed is one kind of message. Rates are those of each room.
type Feed struct {
	Name   string
	Rooms  float64 // of the whole service
	Joined float64 // of them that each connection is in. 0: all of them
	Mean   float64 // messages a second
	Peak   float64 // 0: Mean
	Size   float64 // bytes of a value

	Interval float64 // seconds, the class's: least time between two sends to a member. 0: none
	MaxRate  float64 // sends a second that each client asks for at most. 0: it does not
	Keys     float64 // of a room whose class conflates: a send has the newest value of each. 0: it does not
}

// every is the least time between two sends to a member, in seconds.
func (s *Feed) every() float64 {
	if s.MaxRate > 0 {
		return math.Max(s.Interval, 1/s.MaxRate)
	}
	return s.Interval
}

// Limit is one thing that a node runs out of.
type Limit struct {
	Name string  `json:"name"`
	Used float64 `json:"used"` // share of what there is
	Why  string  `json:"why"`
}

// Plan is the answer.
type Plan struct {
	Nodes       float64  `json:"nodes"` // the spare ones among them
	Cores       float64  `json:"cores"` // of each
	Loops       float64  `json:"loops"` // of each
	Load        Load     `json:"load"`  // of a node at the peak
	Peak        Forecast `json:"peak"`
	Mean        Forecast `json:"mean"`
	Lost        Forecast `json:"after_losing"`      // at the peak, on the nodes that are left
	Limits      []Limit  `json:"limits"`            // what is nearest first
	KafkaEgress float64  `json:"kafka_egress"`      // bytes a second that all nodes together read, at the peak
	Reconnect   float64  `json:"reconnect_s"`       // all connections at once, until all are joined
	Spread      float64  `json:"reconnect_lost_s"`  // those of one lost node, on the others
	Outside     []string `json:"outside,omitempty"` // where the question lies outside of what was calibrated

	question Config
	cal      *Calibration
}

// recordOverhead is what a record takes in Kafka's protocol beside its value: its own
// header, key, and its share of its batch.
const recordOverhead = 40

// busiest is how much of what a node has a plan uses: what is left is for collections,
// handshakes, and minutes that are busier than the peak that was given.
const busiest = 0.8

func (c *Config) check() error {
	if c.Connections < 1 {
		return job.Inputf("--connections %s: at least one", text.Number(c.Connections))
	}
	if len(c.Streams) == 0 {
		return job.Inputf("no stream of messages: give --rooms, --rate and --size")
	}
	for i := range c.Streams {
		s := &c.Streams[i]
		s.Peak = cmp.Or(s.Peak, s.Mean)
		s.Joined = cmp.Or(s.Joined, s.Rooms)
		switch {
		case s.Rooms < 1:
			return job.Inputf("--rooms %s: at least one", text.Number(s.Rooms))
		case s.Joined > s.Rooms:
			return job.Inputf("--joined %s is more than --rooms %s", text.Number(s.Joined), text.Number(s.Rooms))
		case s.Mean <= 0:
			return job.Inputf("--rate %s: messages a second in each room, more than 0", text.Number(s.Mean))
		case s.Peak < s.Mean:
			return job.Inputf("--peak %s is less than --rate %s", text.Number(s.Peak), text.Number(s.Mean))
		case s.Size < 1:
			return job.Inputf("--size %s: bytes of a value, at least 1", text.Number(s.Size))
		case s.Interval < 0 || s.MaxRate < 0 || s.Keys < 0:
			return job.Inputf("--interval %s s, --max-rate %s, --keys %s: none can be negative",
				text.Number(s.Interval), text.Number(s.MaxRate), text.Number(s.Keys))
		case s.Keys > 0 && s.every() == 0:
			return job.Inputf("--keys %s: a member that keeps up gets every message; give --interval or --max-rate "+
				"with it",
				text.Number(s.Keys))
		}
	}
	if c.P99 <= 0 {
		return job.Inputf("--slo p99=%s ms: more than 0", text.Number(c.P99))
	}
	c.Cores = cmp.Or(c.Cores, 4)
	c.Memory = cmp.Or(c.Memory, c.Cores*4*(1<<30))
	c.Link = cmp.Or(c.Link, 10e9/8)
	c.Retain = cmp.Or(c.Retain, 30)
	c.Kept = cmp.Or(c.Kept, 1<<30)
	if c.Cores < 1 || c.Spare < 0 {
		return job.Inputf("--cores %s, --spare %s: at least one core, and no negative spare", text.Number(c.Cores),
			text.Number(c.Spare))
	}
	return nil
}

// New answers a question by what was calibrated.
func New(c Config, cal *Calibration) (*Plan, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	p := &Plan{Cores: c.Cores, Loops: math.Max(1, math.Floor(c.Cores/2)), question: c, cal: cal}
	fits := func(nodes float64) bool {
		l := p.limits(c.load(nodes, p.Loops, true))
		return l[0].Used <= 1
	}
	most := c.Connections
	if !fits(most) {
		l := p.limits(c.load(most, p.Loops, true))[0]
		return nil, job.Inputf("no number of nodes does it, since %s is what each node needs %.3g times: %s", l.Name,
			l.Used, l.Why)
	}
	least, enough := 0.0, 1.0
	for !fits(enough) {
		least, enough = enough, math.Min(2*enough, most)
	}
	for enough-least > 1 {
		if mid := math.Floor((least + enough) / 2); fits(mid) {
			enough = mid
		} else {
			least = mid
		}
	}
	p.Nodes = enough + c.Spare
	m := &cal.Model
	p.Load = c.load(p.Nodes, p.Loops, true)
	p.Peak, p.Mean = m.Predict(p.Load), m.Predict(c.load(p.Nodes, p.Loops, false))
	p.Limits = p.limits(p.Load)
	p.KafkaEgress = p.Nodes * c.ingest()
	p.Reconnect = p.reconnect(p.Load, p.Load.Connections)
	if p.Nodes > 1 {
		lost := c.load(p.Nodes-1, p.Loops, true)
		p.Lost = m.Predict(lost)
		p.Spread = p.reconnect(lost, lost.Connections-p.Load.Connections)
	}
	p.Outside = p.outside()
	return p, nil
}

// load is what one of so many nodes does, at the peak or in the mean.
func (c *Config) load(nodes, loops float64, peak bool) Load {
	l := Load{Connections: c.Connections / nodes, Loops: loops}
	for _, s := range c.Streams {
		rate := s.Mean
		if peak {
			rate = s.Peak
		}
		members := c.Connections * s.Joined / s.Rooms // of a room, everywhere
		there := s.Rooms * -math.Expm1(members*math.Log1p(-1/math.Max(nodes, 1.0000001)))
		if nodes == 1 {
			there = s.Rooms * math.Min(1, members)
		}
		l.Streams = append(l.Streams, Stream{
			Name: s.Name, Rooms: there, Members: l.Connections * s.Joined / there, Rate: rate, Size: s.Size,
			Every: s.every(), Keys: s.Keys,
		})
		l.Skipped += (s.Rooms - there) * rate
		l.TapeBytes += there * rate * c.Retain * (s.Size + 150)
	}
	l.TapeBytes = math.Min(l.TapeBytes, c.Kept)
	return l
}

// ingest is what one node reads of Kafka in a second at the peak, in bytes.
func (c *Config) ingest() float64 {
	var b float64
	for _, s := range c.Streams {
		b += s.Rooms * s.Peak * (s.Size + recordOverhead)
	}
	return b
}

// limits are what a node with this load uses of what it has, the fullest first.
func (p *Plan) limits(l Load) []Limit {
	c, f := p.question, p.cal.Model.Predict(l)
	late := f.P99 / c.P99
	if f.Saturated {
		late = f.Full // for ever, and why is said by the loops
	}
	packets := math.Ceil(f.Bytes/1400) * 66 // Ethernet, IP and TCP headers
	list := []Limit{
		{"loops", f.Full / busiest,
			"of 80 % of what a loop can send, however many messages a send carries: at all of it passes grow for ever"},
		{"freshness", late, c.freshness()},
		{"CPU", f.Cores / (busiest * c.Cores), "of 80 % of the cores"},
		{"memory", (f.Resident + f.Kernel) / (busiest * c.Memory), "of 80 %, the process and the kernel's sockets"},
		{"network", (f.Bytes + packets) / (busiest * c.Link), "of 80 % of the link, headers of packets included"},
		{"Kafka", c.ingest() / (busiest * c.Link), "of 80 % of the link, inwards: each node reads all"},
	}
	slices.SortStableFunc(list, func(a, b Limit) int { return cmp.Compare(b.Used, a.Used) })
	return list
}

// freshness says what the age of messages is held against, and where the question itself
// has them wait.
func (c *Config) freshness() string {
	longest := 0.0
	for i := range c.Streams {
		if s := &c.Streams[i]; s.every()*s.Peak > 1 {
			longest = math.Max(longest, s.every())
		}
	}
	if longest == 0 {
		return "p99 from due to read, against what was asked for"
	}
	return "p99 from due to read, against what was asked for; messages wait for up to " + job.MS(1e3*longest) +
		", the time between two sends to a member"
}

// reconnect is how long so many connections take to be back on a node with this load.
func (p *Plan) reconnect(l Load, connections float64) float64 {
	f := p.cal.Model.Predict(l)
	free := math.Max(p.Cores-f.Cores, 0.25*p.Cores) // busy loops yield to handshakes, and their passes grow
	return connections * p.cal.Model.Handshake / free
}

// outside says where the question lies outside of what was measured.
func (p *Plan) outside() []string {
	var out []string
	beyond := func(what string, asked, most float64) {
		if most > 0 && asked > 1.05*most {
			out = append(out, what+": "+text.Number(asked)+" asked for, at most "+text.Number(most)+" measured")
		}
	}
	c := p.cal
	beyond("connections of a loop", p.Load.Connections/p.Loops, c.MostConnections/math.Max(c.Loops, 1))
	if p.Peak.Delivered > 0 && !p.Peak.Saturated {
		beyond("bytes of a send", p.Peak.Bytes/p.Peak.Delivered*p.Peak.PerSend, c.MostSend)
	}
	beyond("messages a second of a loop", p.Peak.Delivered/p.Loops, c.MostDelivered/math.Max(c.Loops, 1))
	for _, s := range p.Load.Streams {
		beyond("bytes of a value", s.Size, c.MostSize)
	}
	if p.Loops > c.Loops {
		out = append(out, "loops: "+text.Number(p.Loops)+" of a node, "+text.Number(math.Max(c.Loops,
			1))+" measured; loops share nothing but memory and the network card")
	}
	return slices.Compact(out)
}
