package ingest

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// consumerFixed and publisherFixed are properties that the operator cannot change.
var (
	consumerFixed = map[string]string{
		"enable.auto.commit":       "false",
		"enable.auto.offset.store": "false",
		"enable.partition.eof":     "true",
		// records that were deleted before we read them must not be skipped in silence
		"auto.offset.reset": "error",
	}
	publisherFixed = map[string]string{"enable.idempotence": "true", "acks": "all"}
)

func readerConf(cfg Config) (*kafka.ConfigMap, error) {
	return settings(cfg.Brokers, readerSettings(cfg), cfg.Librdkafka, consumerFixed)
}

// recallConf is the configuration of clients that read again. They read short stretches, so
// librdkafka may fetch little ahead: records beyond a slice are thrown away.
func recallConf(cfg Config) (*kafka.ConfigMap, error) {
	ours, theirs := readerSettings(cfg), canonical(cfg.Librdkafka)
	ahead := map[string]string{
		"queued.max.messages.kbytes": strconv.Itoa(fetchAhead >> 10),
		"queued.min.messages":        "1000",
		"fetch.message.max.bytes":    strconv.Itoa(fetchAhead),
	}
	maps.Copy(ours, ahead)
	for k := range ahead {
		delete(theirs, k)
	}
	return settings(cfg.Brokers, ours, theirs, consumerFixed)
}

// controlConf is the configuration of the producer for admin requests and dead letters.
func controlConf(cfg Config) (*kafka.ConfigMap, error) {
	return settings(cfg.Brokers, map[string]string{"message.max.bytes": "67108864"}, cfg.Librdkafka, nil)
}

func publisherConf(brokers []string, librdkafka map[string]string) (*kafka.ConfigMap, error) {
	return settings(brokers, map[string]string{
		"linger.ms":          "0",
		"message.timeout.ms": "30000",
		"message.max.bytes":  "67108864", // the broker decides
		"partitioner":        "murmur2_random",
	}, librdkafka, publisherFixed)
}

// tryTime bounds TryClients. A client takes milliseconds.
const tryTime = 5 * time.Second

// TryClients makes the clients of a Consumer and a Publisher with the operator's properties, and
// closes them at once. Only then does librdkafka refuse properties that do not go together. The
// clients know no broker, connect to nothing and log nothing.
func TryClients(cfg Config) []PropertyFault {
	reader, errReader := readerConf(cfg)
	recall, errRecall := recallConf(cfg)
	control, errControl := controlConf(cfg)
	publisher, errPublisher := publisherConf(cfg.Brokers, cfg.Librdkafka)
	if err := errors.Join(errReader, errRecall, errControl, errPublisher); err != nil {
		return []PropertyFault{togetherFault(err.Error(), nil)}
	}
	tries := []func() error{
		func() error { return tryConsumer(reader) }, func() error { return tryConsumer(recall) },
		func() error { return tryProducer(control) }, func() error { return tryProducer(publisher) },
	}
	said := make(chan error, len(tries))
	for _, try := range tries {
		go func() { said <- try() }()
	}
	late := time.After(tryTime)
	var out []PropertyFault
	for range tries {
		select {
		case err := <-said:
			if err == nil {
				continue
			}
			f := togetherFault(err.Error(), canonical(cfg.Librdkafka))
			if !slices.Contains(out, f) {
				out = append(out, f)
			}
		case <-late:
			return append(out, PropertyFault{
				Msg: fmt.Sprintf("librdkafka does not make and close its clients within %s", tryTime),
				Do:  "remove what makes it wait, such as a plugin",
			})
		}
	}
	return out
}

func tryConsumer(conf *kafka.ConfigMap) error {
	defer withoutPeers(conf)()
	c, err := kafka.NewConsumer(conf)
	if err != nil {
		return err
	}
	return c.Close()
}

func tryProducer(conf *kafka.ConfigMap) error {
	defer withoutPeers(conf)()
	p, err := kafka.NewProducer(conf)
	if err != nil {
		return err
	}
	p.Close()
	return nil
}

// withoutPeers removes the addresses from a configuration, so that a client connects to nothing.
// It drops the client's log until done is called.
func withoutPeers(conf *kafka.ConfigMap) (done func()) {
	const tokens = "sasl.oauthbearer.token.endpoint.url" // a client asks it for a token at once
	delete(*conf, "bootstrap.servers")
	if (*conf)[tokens] != nil {
		(*conf)[tokens] = "http://127.0.0.1:0"
	}
	return drainLogs(conf, orDiscard(nil), func(kafka.LogEvent) {})
}

// propertyName finds names of properties in librdkafka's errors.
var propertyName = regexp.MustCompile(`[a-z_]+(\.[a-z_]+)+`)

// togetherFault returns the fault of properties that librdkafka refuses only together. It
// belongs to the first property that the error names and the operator has set.
func togetherFault(said string, set map[string]string) PropertyFault {
	f := PropertyFault{Msg: "librdkafka refuses it: " + strings.TrimSpace(said), Do: "mend or set what it names"}
	for _, words := range []string{"SASL mechanism", "Unsupported hash function"} {
		if strings.Contains(said, words) {
			f.Property, f.Do = "sasl.mechanism", saslRemedy
			return f
		}
	}
	for _, name := range propertyName.FindAllString(said, -1) {
		if set[name] != "" {
			f.Property = name
			break
		}
	}
	return f
}

const saslRemedy = "set it to PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"

func orDiscard(log *slog.Logger) *slog.Logger {
	return cmp.Or(log, slog.New(slog.DiscardHandler))
}

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
