package bench

import (
	"context"
	"fmt"

	"tapecast/bench/publish"
)

// WarnCompacted warns of compacted topics before anything is written to them: the last
// message of each key stays there. If the broker does not answer, nothing is said.
func (t *Target) WarnCompacted(ctx context.Context, topics ...string) {
	if t.Warn == nil || len(t.Brokers) == 0 {
		return
	}
	for _, topic := range publish.CompactedOf(ctx, t.Brokers, topics) {
		_, _ = fmt.Fprintf(t.Warn,
			"warning: topic %q is compacted: the last message of each key of this run stays in it, "+
				"and new clients will get it; use a topic of its own\n", topic)
	}
}
