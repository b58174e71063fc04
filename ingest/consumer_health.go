package ingest

import (
	"fmt"
	"strings"
	"time"

	"tapecast/rooms"
	"tapecast/rooms/heartbeat"
)

const (
	// missesAreLoss is how many requests in a row must fail until the brokers count as lost.
	missesAreLoss = 2
	// describeFor is how long brokers may not describe the topics: a controller may just have failed.
	describeFor = 10 * time.Second
	// amissFor is how long some partitions may be unread until the log names the broker.
	amissFor = 3 * time.Second
)

// reach is the state of the connection to the brokers. It belongs to the watcher.
type reach struct {
	misses int       // looks in a row without an answer, or without a description of the topics
	since  time.Time // the first of them
	ever   bool      // some look succeeded

	amiss time.Time     // since when partitions are unread though brokers answer; zero: all are read
	told  brokerTrouble // the greatest trouble that the log has about that
}

// outage is a period without answers of the brokers. It does not change once made.
type outage struct {
	since time.Time
	what  string // the request that fails
	fault brokerFault
	do    string        // the remedy
	told  brokerTrouble // the greatest trouble that the log has about it
}

func (o *outage) text() string {
	return fmt.Sprintf("%s since %s: %s; %s", o.what, o.since.Format(time.RFC3339), o.fault.text(), o.do)
}

func (c *Consumer) missed() int {
	if c.reach.misses++; c.reach.misses == 1 {
		c.reach.since = time.Now()
	}
	return c.reach.misses
}

// lost begins or updates an outage. The log has one line, and another for a reason that says more.
func (c *Consumer) lost(what string, err error) {
	was := c.outage.Load()
	fault, known := c.faults.worst()
	if !known {
		fault = brokerFault{said: err.Error()}
	}
	o := &outage{since: c.reach.since, what: what, fault: fault, told: fault.kind}
	say := was == nil
	if was != nil {
		if !known { // librdkafka does not say the same again for a while
			o.fault = was.fault
		}
		say = o.fault.kind > was.told
		o.since, o.told = was.since, max(was.told, o.fault.kind)
	}
	o.do = c.faults.remedy(o.fault)
	c.outage.Store(o)
	if !say {
		return
	}
	words := "Kafka lost"
	if !c.reach.ever {
		words = "Kafka cannot be reached"
	}
	c.log.Warn(words, "error", o.fault.text(), "remedy", o.do)
}

// reached notes that the brokers answered and described the topics.
func (c *Consumer) reached() {
	was := c.outage.Swap(nil)
	first := !c.reach.ever
	c.reach.misses, c.reach.ever = 0, true
	if was == nil {
		return
	}
	c.faults.forget()
	words := "Kafka back"
	if first {
		words = "Kafka reached"
	} else {
		c.figures.reconnects.Add(1)
	}
	c.log.Info(words, "after", time.Since(was.since).Round(time.Millisecond))
}

// sayAmiss logs once which broker cannot be used, if others answer but partitions are unread.
func (c *Consumer) sayAmiss() {
	amiss := false
	for _, t := range c.topics {
		if _, why := t.status(); why != "" && !t.gone {
			amiss = true
		}
	}
	r := &c.reach
	switch {
	case !amiss:
		r.amiss, r.told = time.Time{}, 0
	case r.amiss.IsZero():
		r.amiss = time.Now()
	case time.Since(r.amiss) >= amissFor:
		if fault, ok := c.faults.worst(); ok && fault.kind > r.told {
			r.told = fault.kind
			c.log.Warn("a Kafka broker cannot be used", "error", fault.text(), "remedy", c.faults.remedy(fault))
		}
	}
}

// Ready reports whether every partition is assigned and read up to the end that it had at our
// start. Topics that do not exist are left out, unless Config.RequireAll is set or there is no
// other topic. Once true it stays true.
func (c *Consumer) Ready() bool {
	if c.ready.Load() {
		return true
	}
	now, caught := time.Now(), 0
	for _, t := range c.topics {
		switch {
		case t.caughtUp():
			caught++
		case c.cfg.RequireAll || !t.forgiven(now):
			return false
		}
	}
	if caught == 0 && len(c.topics) > 0 {
		return false
	}
	c.ready.Store(true)
	return true
}

// Up reports whether the brokers answered last time.
func (c *Consumer) Up() bool { return c.outage.Load() == nil }

// Health reports whether the brokers are reachable and all topics are being read.
// If not, detail has the faults, their reasons and remedies.
func (c *Consumer) Health() (ok bool, detail string) {
	if out := c.outage.Load(); out != nil {
		return false, out.text()
	}
	var faults []string
	parts, known := 0, 0 // known: faults whose text has the reason
	for _, t := range c.topics {
		n, why := t.status()
		parts += n
		if why == absentTopic {
			known++
		}
		if why != "" {
			faults = append(faults, fmt.Sprintf("topic %q: %s", t.name, why))
		}
	}
	for _, t := range c.topics {
		if why := t.misplacedFault(time.Now()); why != "" {
			faults, known = append(faults, why), known+1
		}
	}
	if why := c.dead.missing(); why != "" {
		text := fmt.Sprintf("dead-letter topic %q: %s: bad records are counted and lost", c.dead.topic, why)
		faults, known = append(faults, text), known+1
	}
	if why := c.dead.fault(); why != "" {
		text := fmt.Sprintf("dead-letter topic %q: %s: bad records are counted and lost", c.dead.topic, why)
		faults, known = append(faults, text), known+1
	}
	if faults == nil {
		return true, fmt.Sprintf("reading %d topics with %d partitions", len(c.topics), parts)
	}
	if fault, ok := c.faults.worst(); ok && len(faults) > known {
		faults = append(faults, "a broker cannot be used: "+fault.text()+"; "+c.faults.remedy(fault))
	}
	return false, strings.Join(faults, "; ")
}

// Heartbeats returns the heartbeats of the readers, of the recaller and its lanes, and of the
// goroutines that look up times. A turn is one batch of events, one slice or one time. Time in
// which a goroutine waits for Kafka does not count, nor time in which a reader waits for an
// appender.
func (c *Consumer) Heartbeats() []*heartbeat.Counter {
	out := []*heartbeat.Counter{&c.recaller.heartbeat}
	for i := range c.recaller.lanes {
		out = append(out, &c.recaller.lanes[i].heartbeat)
	}
	for i := range c.times.heartbeats {
		out = append(out, &c.times.heartbeats[i])
	}
	for _, r := range c.readers {
		out = append(out, &r.heartbeat)
	}
	return out
}

// Stand blocks the first reader that long, to test the watchdog.
func (c *Consumer) Stand(d time.Duration) {
	r := c.readers[0]
	stand := func() {
		r.heartbeat.Begin()
		time.Sleep(d)
		r.heartbeat.End()
	}
	select {
	case r.cmds <- stand:
	case <-c.ctx.Done():
	}
}

// StandRecaller blocks the recaller that long, likewise.
func (c *Consumer) StandRecaller(d time.Duration) {
	r := &rooms.Recall{Pattern: &rooms.Pattern{Feed: c.topics[0].feed},
		Done: func(*rooms.Past, error) { time.Sleep(d) }}
	r.Drop()
	c.Recall(r)
}

// StandTimes blocks a goroutine that looks up times, likewise.
func (c *Consumer) StandTimes(d time.Duration) {
	p := &rooms.Pattern{Feed: c.topics[0].feed}
	c.PositionsAt(p, time.Now().UnixMilli(), "", func(rooms.Positions, error) { time.Sleep(d) })
}

// DeadLettersLost returns the number of bad records that could not be stored as dead letters; without a
// Consumer none.
func (c *Consumer) DeadLettersLost() uint64 {
	if c == nil {
		return 0
	}
	return c.dead.lost.Load()
}
