package bench

import (
	"context"
	"fmt"

	"tapecast/bench/publish"
)

// WarnCompacted says, before anything is written to them, which topics are compacted:
// what a run writes last to each key stays there. A broker that does not say so is not asked
// again: it is a warning.
func (t *Target) WarnCompacted(ctx context.Context, topics ...string) {
	if t.Warn == nil || len(t.Brokers) == 0 {
		return
	}
	for _, topic := range publish.CompactedOf(ctx, t.Brokers, topics) {
		_, _ = fmt.Fprintf(t.Warn,
			"warning: topic %q is compacted: of each key the last message of this run stays in it, "+
				"and in what new clients get; write to a topic of its own\n", topic) // to nobody, at worst
	}
}
