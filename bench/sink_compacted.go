package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// warnCompacted says, before anything is written to them, which topics are compacted:
// what a run writes last to each key stays there. A broker that does not say so is not asked
// again: it is a warning.
func (t *Target) warnCompacted(ctx context.Context, topics ...string) {
	if t.Warn == nil || len(t.Brokers) == 0 {
		return
	}
	for _, topic := range compactedOf(ctx, t.Brokers, topics) {
		_, _ = fmt.Fprintf(t.Warn, "warning: topic %q is compacted: of each key the last message of this run stays in it, "+
			"and in what new clients get; write to a topic of its own\n", topic) // to nobody, at worst
	}
}

// compactedPatience is how long a broker may take to say how topics are kept.
const compactedPatience = 5 * time.Second

// compactedOf are those of the topics that Kafka says are compacted.
func compactedOf(ctx context.Context, brokers, topics []string) (compacted []string) {
	var ask []kafka.ConfigResource
	asked := map[string]bool{"": true}
	for _, topic := range topics {
		if !asked[topic] {
			ask = append(ask, kafka.ConfigResource{Type: kafka.ResourceTopic, Name: topic})
		}
		asked[topic] = true
	}
	if len(ask) == 0 {
		return nil
	}
	admin, err := kafka.NewAdminClient(&kafka.ConfigMap{
		"bootstrap.servers":   strings.Join(brokers, ","),
		"enable.metrics.push": false, "log_level": 0,
	})
	if err != nil {
		return nil // whoever writes is told
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(ctx, compactedPatience)
	defer cancel()
	answers, err := admin.DescribeConfigs(ctx, ask, kafka.SetAdminRequestTimeout(compactedPatience))
	if err != nil {
		return nil
	}
	for _, a := range answers {
		if strings.Contains(a.Config["cleanup.policy"].Value, "compact") {
			compacted = append(compacted, a.Name)
		}
	}
	return compacted
}
