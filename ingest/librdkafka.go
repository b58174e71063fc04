package ingest

import (
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"strings"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// settings merges librdkafka's properties. The operator's (theirs) win over ours. It is an error if
// one of them contradicts a fixed one.
func settings(brokers []string, ours, theirs, fixed map[string]string) (*kafka.ConfigMap, error) {
	all := map[string]string{
		"bootstrap.servers": strings.Join(brokers, ","),
		"client.id":         "tapecast",
		// The default, ten seconds, is long for clients that wait.
		"reconnect.backoff.max.ms": "2000",
		"socket.keepalive.enable":  "true",
		"enable.metrics.push":      "false", // brokers get no figures unasked
	}
	theirs = canonical(theirs)
	maps.Copy(all, ours)
	maps.Copy(all, theirs)
	for k, v := range fixed {
		if got, ok := theirs[k]; ok && got != v {
			return nil, fmt.Errorf("kafka.librdkafka.%s is %q, but must be %q: leave it out", k, got, v)
		}
		all[k] = v
	}
	out := kafka.ConfigMap{}
	for k, v := range all {
		if strings.HasPrefix(k, "go.") {
			return nil, fmt.Errorf("kafka.librdkafka.%s is not a property of librdkafka: leave it out", k)
		}
		out[k] = v
	}
	return &out, nil
}

// logsTo has a client of librdkafka send its log lines to a channel instead of
// standard error. The channel must be drained until the client is closed.
func logsTo(conf *kafka.ConfigMap) chan kafka.LogEvent {
	lines := make(chan kafka.LogEvent, 256)
	(*conf)["go.logs.channel.enable"] = true
	(*conf)["go.logs.channel"] = lines
	return lines
}

// drainLogs writes librdkafka's lines as debug lines, and passes them to faults, which may be
// nil. The watcher logs a lost broker once, from these faults.
func drainLogs(lines <-chan kafka.LogEvent, log *slog.Logger, faults *brokerFaults, done <-chan struct{}) {
	for {
		select {
		case l := <-lines:
			if faults != nil {
				faults.logged(l)
			}
			log.Debug("librdkafka", "client", l.Name, "tag", l.Tag, "said", l.Message)
		case <-done:
			return
		}
	}
}

// readerSettings are librdkafka's properties for readers.
func readerSettings(cfg Config) map[string]string {
	return map[string]string{
		"group.id":          "tapecast", // required, but we never join it
		"fetch.wait.max.ms": "100",      // a new partition waits for the fetch before it
		"isolation.level":   "read_committed",
		// By default librdkafka waits a second after a full queue before it fetches again.
		// At 300,000 records a second that is three queues.
		"fetch.queue.backoff.ms":            "10",
		"fetch.error.backoff.ms":            "100",
		"queued.max.messages.kbytes":        "16384",
		"receive.message.max.bytes":         strconv.Itoa(max(100_000_000, 2*cfg.MaxRecord)),
		"topic.metadata.propagation.max.ms": "1000",
	}
}
