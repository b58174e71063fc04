package ingest

import (
	"fmt"
	"strings"
	"time"
)

const (
	// missesAreLoss is how many times in a row no broker answers until all count as lost.
	missesAreLoss = 2
	// describeFor is how long brokers may answer and yet not describe the topics: whoever
	// controls them may just have gone.
	describeFor = 10 * time.Second
	// amissFor is how long topics may not be read, or only in part, until the log says which
	// broker cannot be used.
	amissFor = 3 * time.Second
)

// reach is how asking the brokers went. It belongs to the watcher.
type reach struct {
	misses int       // times in a row that they were not reached, or did not describe the topics
	since  time.Time // the first of them
	ever   bool      // it went well once

	amiss time.Time     // since when topics are not read though brokers answer; zero: all are
	told  brokerTrouble // of that, in the log
}

// outage is a time in which the brokers do not answer. It does not change once made.
type outage struct {
	since time.Time
	what  string // does not work
	fault brokerFault
	do    string
	told  brokerTrouble // the most that the log says of it
}

func (o *outage) text() string {
	return fmt.Sprintf("%s since %s: %s; %s", o.what, o.since.Format(time.RFC3339), o.fault.text(), o.do)
}

// unreached notes that no broker says that it is there.
func (c *Consumer) unreached(err error) {
	if c.missed() >= missesAreLoss {
		c.lost("no Kafka broker is reachable", err)
	}
}

// undescribed notes that brokers answer, but not who controls them. A name that those
// give for it and that does not resolve is such a case.
func (c *Consumer) undescribed(err error) {
	n := c.missed()
	if time.Since(c.reach.since) >= describeFor || !c.reach.ever && n >= missesAreLoss {
		c.lost("Kafka does not describe its topics", err)
	}
}

func (c *Consumer) missed() int {
	if c.reach.misses++; c.reach.misses == 1 {
		c.reach.since = time.Now()
	}
	return c.reach.misses
}

// lost begins an outage, or learns more of it. The log has one line of it, and another
// where a reason that says more comes later.
func (c *Consumer) lost(what string, err error) {
	c.mu.Lock()
	was := c.outage
	c.mu.Unlock()
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
	c.mu.Lock()
	c.outage = o
	c.mu.Unlock()
	if !say {
		return
	}
	words := "Kafka lost"
	if !c.reach.ever {
		words = "Kafka cannot be reached"
	}
	c.log.Warn(words, "error", o.fault.text(), "remedy", o.do)
}

// reached notes that the brokers answer, and describe the topics.
func (c *Consumer) reached() {
	c.mu.Lock()
	was := c.outage
	c.outage = nil
	c.mu.Unlock()
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

// sayAmiss logs once which broker cannot be used while others can, where topics are not
// read, or not all of them.
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

// Ready reports whether every partition is assigned and was caught up with the
// end that it had at our start. Topics that Kafka says do not exist are left out, unless
// Config.RequireAll, as long as there is another. Once true it stays so.
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

// Up reports whether the brokers answer, as far as is known.
func (c *Consumer) Up() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outage == nil
}

// Health reports whether the brokers are reachable and all topics are being read;
// if not, detail says what is missing, why, and what helps.
func (c *Consumer) Health() (ok bool, detail string) {
	c.mu.Lock()
	out := c.outage
	c.mu.Unlock()
	if out != nil {
		return false, out.text()
	}
	var faults []string
	parts, known := 0, 0 // known: faults that say why themselves
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
		if why := t.strayFault(time.Now()); why != "" {
			faults, known = append(faults, why), known+1
		}
	}
	if why := c.dead.fault(); why != "" {
		faults, known = append(faults, why), known+1
	}
	if faults == nil {
		return true, fmt.Sprintf("reading %d topics with %d partitions", len(c.topics), parts)
	}
	if fault, ok := c.faults.worst(); ok && len(faults) > known {
		faults = append(faults, "a broker cannot be used: "+fault.text()+"; "+c.faults.remedy(fault))
	}
	return false, strings.Join(faults, "; ")
}
