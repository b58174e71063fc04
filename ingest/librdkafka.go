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

// drainLogs passes the log lines of a client that is about to be made to each, and writes them as
// debug lines instead of to standard error. stop must be called once the client is closed.
func drainLogs(conf *kafka.ConfigMap, log *slog.Logger, each func(kafka.LogEvent)) (stop func()) {
	lines := make(chan kafka.LogEvent, 256)
	(*conf)["go.logs.channel.enable"] = true
	(*conf)["go.logs.channel"] = lines
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case l := <-lines:
				each(l)
				log.Debug("librdkafka", "client", l.Name, "tag", l.Tag, "said", l.Message)
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// polledClient is a librdkafka consumer that is read through a poller.
type polledClient struct {
	*kafka.Consumer
	poll     *poller
	stopLogs func()
}

func newPolledClient(conf *kafka.ConfigMap, log *slog.Logger, each func(kafka.LogEvent)) (*polledClient, error) {
	p := &polledClient{stopLogs: drainLogs(conf, log, each)}
	var err error
	if p.Consumer, err = kafka.NewConsumer(conf); err != nil {
		p.stopLogs()
		return nil, fmt.Errorf("cannot make a Kafka consumer: %w", err)
	}
	if p.poll, err = newPoller(p.Consumer); err != nil {
		p.Close()
		p.stopLogs()
		return nil, err
	}
	return p, nil
}

// close ends the client. Nobody may poll it any more.
func (p *polledClient) close() {
	p.poll.close()
	p.Close()
	p.stopLogs()
}

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
