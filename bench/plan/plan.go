package plan

import (
	"cmp"
	"math"
	"slices"

	"tapecast/bench/job"
	"tapecast/bench/text"
)

// Config is the question: how many nodes, of what size, does this load need.
type Config struct {
	Connections float64
	Streams     []Feed
	P99         float64  // ms from due to read, at the peak: the age that messages may reach
	Cores       float64  // of a node. 0: 4
	Memory      float64  // of a node, in bytes. 0: 4 GiB a core
	Link        float64  // of a node, in bytes a second. 0: 10 Gbit/s
	Spare       float64  // nodes that may be lost at the peak while the P99 still holds
	Retain      float64  // seconds that tapes reach back. 0: 30
	Kept        float64  // most heap of the tapes on a node. 0: 1 GiB
	Corrected   []string // the result of Calibration.Correct, for the report
}

// Feed is one kind of message. Rates are for each room.
type Feed struct {
	Name   string
	Rooms  float64 // in the whole service
	Joined float64 // rooms that each connection joins. 0: all of them
	Mean   float64 // messages a second
	Peak   float64 // 0: Mean
	Size   float64 // bytes of a value

	Interval float64 // seconds, of the class: least time between two sends to a member. 0: none
	MaxRate  float64 // most sends a second that each client asks for. 0: no limit
	Keys     float64 // keys of a room whose class conflates: a send has the newest value of each. 0: no conflation
}

// every returns the least time between two sends to a member, in seconds.
func (s *Feed) every() float64 {
	if s.MaxRate > 0 {
		return math.Max(s.Interval, 1/s.MaxRate)
	}
	return s.Interval
}

// Limit is one resource of a node.
type Limit struct {
	Name string  `json:"name"`
	Used float64 `json:"used"` // share of it that is used
	Why  string  `json:"why"`
}

// Plan is the answer.
type Plan struct {
	Nodes       float64  `json:"nodes"` // with the spare ones
	Cores       float64  `json:"cores"` // of each
	Loops       float64  `json:"loops"` // of each
	Load        Load     `json:"load"`  // of a node at the peak
	Peak        Forecast `json:"peak"`
	Mean        Forecast `json:"mean"`
	Lost        Forecast `json:"after_losing"`      // at the peak, on the remaining nodes
	Limits      []Limit  `json:"limits"`            // the fullest first
	KafkaEgress float64  `json:"kafka_egress"`      // bytes a second that all nodes together read, at the peak
	Reconnect   float64  `json:"reconnect_s"`       // until all connections are back, if all were lost at once
	Spread      float64  `json:"reconnect_lost_s"`  // until those of one lost node are back, on the others
	Outside     []string `json:"outside,omitempty"` // where the question lies outside what was calibrated

	question Config
	cal      *Calibration
}

// recordOverhead is what Kafka adds to a value: header, key, and a share of a batch.
const recordOverhead = 40

// busiest is the share of a node's resources that a plan uses. The rest is for garbage
// collection, handshakes, and minutes that are busier than the given peak.
const busiest = 0.8

func (c *Config) check() error {
	if c.Connections < 1 {
		return job.Inputf("--connections %s: at least one is needed", text.Number(c.Connections))
	}
	if len(c.Streams) == 0 {
		return job.Inputf("there are no messages: give --rooms, --rate and --size")
	}
	for i := range c.Streams {
		s := &c.Streams[i]
		s.Peak = cmp.Or(s.Peak, s.Mean)
		s.Joined = cmp.Or(s.Joined, s.Rooms)
		switch {
		case s.Rooms < 1:
			return job.Inputf("--rooms %s: at least one is needed", text.Number(s.Rooms))
		case s.Joined > s.Rooms:
			return job.Inputf("--joined %s is more than --rooms %s", text.Number(s.Joined), text.Number(s.Rooms))
		case s.Mean <= 0:
			return job.Inputf("--rate %s: it must be more than 0, messages a second in each room", text.Number(s.Mean))
		case s.Peak < s.Mean:
			return job.Inputf("--peak %s is less than --rate %s", text.Number(s.Peak), text.Number(s.Mean))
		case s.Size < 1:
			return job.Inputf("--size %s: it must be at least 1, bytes of a value", text.Number(s.Size))
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
		return job.Inputf("--slo p99=%s ms: it must be more than 0", text.Number(c.P99))
	}
	c.Cores = cmp.Or(c.Cores, 4)
	c.Memory = cmp.Or(c.Memory, c.Cores*4*(1<<30))
	c.Link = cmp.Or(c.Link, 10e9/8)
	c.Retain = cmp.Or(c.Retain, 30)
	c.Kept = cmp.Or(c.Kept, 1<<30)
	if c.Cores < 1 || c.Spare < 0 {
		return job.Inputf("--cores %s, --spare %s: at least one core is needed, and spare cannot be negative",
			text.Number(c.Cores), text.Number(c.Spare))
	}
	return nil
}

// New answers a question with a calibration.
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
		return nil, job.Inputf("no number of nodes is enough: each node would need %s %.3g times over (%s)", l.Name,
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

// load returns the load of one of so many nodes, at the peak or in the mean.
func (c *Config) load(nodes, loops float64, peak bool) Load {
	l := Load{Connections: c.Connections / nodes, Loops: loops}
	for _, s := range c.Streams {
		rate := s.Mean
		if peak {
			rate = s.Peak
		}
		members := c.Connections * s.Joined / s.Rooms // of a room, on all nodes
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

// ingest returns how many bytes a second one node reads from Kafka at the peak.
func (c *Config) ingest() float64 {
	var b float64
	for _, s := range c.Streams {
		b += s.Rooms * s.Peak * (s.Size + recordOverhead)
	}
	return b
}

// limits returns how much of each resource a node with this load uses, the fullest first.
func (p *Plan) limits(l Load) []Limit {
	c, f := p.question, p.cal.Model.Predict(l)
	late := f.P99 / c.P99
	if f.Saturated {
		late = f.Full // the P99 is infinite, because of the loops
	}
	packets := math.Ceil(f.Bytes/1400) * 66 // Ethernet, IP and TCP headers
	list := []Limit{
		{"loops", f.Full / busiest,
			"of 80 % of what a loop can send, however many messages a send carries: at 100 % passes grow without end"},
		{"freshness", late, c.freshness()},
		{"CPU", f.Cores / (busiest * c.Cores), "of 80 % of the cores"},
		{"memory", (f.Resident + f.Kernel) / (busiest * c.Memory), "of 80 %, the process and the kernel's sockets"},
		{"network", (f.Bytes + packets) / (busiest * c.Link), "of 80 % of the link, with the packets' headers"},
		{"Kafka", c.ingest() / (busiest * c.Link), "of 80 % of the link, inbound: each node reads everything"},
	}
	slices.SortStableFunc(list, func(a, b Limit) int { return cmp.Compare(b.Used, a.Used) })
	return list
}

// freshness describes the limit of messages' age, and how long the question lets them wait.
func (c *Config) freshness() string {
	longest := 0.0
	for i := range c.Streams {
		if s := &c.Streams[i]; s.every()*s.Peak > 1 {
			longest = math.Max(longest, s.every())
		}
	}
	if longest == 0 {
		return "of the p99 that was asked for, from due to read"
	}
	return "of the p99 that was asked for, from due to read; messages wait for up to " + job.MS(1e3*longest) +
		", the time between two sends to a member"
}

// reconnect returns in how many seconds so many connections come back to a node with this load.
func (p *Plan) reconnect(l Load, connections float64) float64 {
	f := p.cal.Model.Predict(l)
	free := math.Max(p.Cores-f.Cores, 0.25*p.Cores) // busy loops yield to handshakes, and their passes grow
	return connections * p.cal.Model.Handshake / free
}

// outside returns where the question lies outside what was measured.
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
