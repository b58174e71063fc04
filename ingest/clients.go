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
