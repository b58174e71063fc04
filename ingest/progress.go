package ingest

// Progress has the next offset of each partition when a Consumer stopped. The next Consumer of
// the same router and table goes on at these offsets. Only one Consumer at a time may have it.
type Progress struct {
	topics map[string]left
}

// left is the state of one topic when a Consumer stopped.
type left struct {
	cluster, id, epoch string
	next               []int64 // by partition; -1: not read
}

// leave writes the topics to Config.Progress, for the next Consumer.
func (c *Consumer) leave() {
	if c.cfg.Progress.topics == nil {
		c.cfg.Progress.topics = map[string]left{}
	}
	for _, t := range c.topics {
		if t.epoch == "" {
			continue
		}
		c.cfg.Progress.topics[t.name] = left{t.cluster, t.id, t.epoch, t.reached()}
	}
}

// reached returns the next offset of each partition; -1: it was not read.
func (t *topic) reached() []int64 {
	next := make([]int64, len(t.parts))
	for n, p := range t.parts {
		if next[n] = -1; p != nil {
			next[n] = p.next.Load()
		} else if n < len(t.resume) {
			next[n] = t.resume[n]
		}
	}
	return next
}
