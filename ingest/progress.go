package ingest

// Progress is where a Consumer was in its topics when it stopped. The next Consumer of the
// same router and table goes on there. One Consumer at a time may have it.
type Progress struct {
	topics map[string]left
}

// left is where a Consumer was in a topic when it stopped.
type left struct {
	cluster, id, epoch string
	next               []int64 // by partition; -1: not read
}

// leave notes where each topic was left, for the next Consumer.
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

// reached is how far the partitions were read; -1: one was not.
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
