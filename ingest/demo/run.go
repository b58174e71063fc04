package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"

	"tapecast/ingest"
)

// Market produces a generated market into Kafka, for trying things out and for
// tests: tickers and trades of more than fifty symbols, and for some users
// orders, portfolios, notifications and messages. It writes to the topics of Topics.
type Market struct {
	producer *ingest.Producer
	log      *slog.Logger
	quit     chan struct{}
	stopped  sync.WaitGroup
	once     sync.Once

	made, failed atomic.Uint64
	complained   atomic.Bool
}

// maxBehind is the delay up to which the market catches up. After a longer one it skips the time
// in between: a laptop may wake up after hours.
const maxBehind = 5 * time.Second

// StartMarket starts the market. ctx bounds the start only; Stop ends it.
func StartMarket(ctx context.Context, brokers []string, users []string, log *slog.Logger) (*Market, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("cannot start the generated market: %w", err)
	}
	for _, u := range users {
		if u == "" || strings.Trim(strconv.Quote(u), `"`) != u {
			return nil, fmt.Errorf("cannot generate a market for user %q: a name needs plain characters", u)
		}
	}
	m := &Market{log: cmp.Or(log, slog.New(slog.DiscardHandler)), quit: make(chan struct{})}
	var err error
	m.producer, err = ingest.NewProducer(brokers, map[string]string{
		"linger.ms":          "1",
		"message.timeout.ms": "10000",
		"partitioner":        "murmur2_random", // as in the route of private.orders
	}, nil, map[string]string{"enable.idempotence": "true"}, log, m.reported)
	if err != nil {
		return nil, fmt.Errorf("cannot start the generated market: %w", err)
	}
	start := time.Now()
	g := newGenerator(uint64(start.UnixNano()), start, users)
	m.stopped.Go(func() { m.run(g) })
	return m, nil
}

// Counts returns how many records the market has handed to its producer, and how many failed.
func (m *Market) Counts() (made, failed uint64) { return m.made.Load(), m.failed.Load() }

// Stop ends the market. Records under way have a second to be stored.
func (m *Market) Stop() {
	m.once.Do(func() {
		close(m.quit)
		m.stopped.Wait()
		m.producer.Stop(time.Second)
	})
}

func (m *Market) run(g *generator) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	start := g.start
	for {
		p := g.next()
		if wait := time.Until(start.Add(p.at)); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-m.quit:
				return
			}
		} else if wait < -maxBehind {
			start = start.Add(-wait)
		}
		if !m.produce(p) {
			return
		}
	}
}

// produce hands a record to the producer. It returns false if the market must stop.
func (m *Market) produce(p produced) bool {
	msg := kafka.Message{
		TopicPartition: kafka.TopicPartition{Topic: &p.topic, Partition: kafka.PartitionAny},
		Key:            []byte(p.key), Value: p.value,
	}
	for {
		select {
		case <-m.quit:
			return false
		default:
		}
		err := m.producer.Produce(&msg, nil)
		if err == nil {
			m.made.Add(1)
			return true
		}
		var kerr kafka.Error
		if !errors.As(err, &kerr) || kerr.Code() != kafka.ErrQueueFull {
			m.complain(err)
			return true
		}
		time.Sleep(10 * time.Millisecond) // the broker is down, or slow
	}
}

func (m *Market) reported(got *kafka.Message) {
	if err := got.TopicPartition.Error; err != nil {
		m.complain(err)
	}
}

func (m *Market) complain(err error) {
	m.failed.Add(1)
	if !m.complained.Swap(true) {
		m.log.Warn("the generated market cannot produce; this is logged once", "error", err)
	}
}

// TopicSpec is a topic to be created. Config holds Kafka's topic properties.
type TopicSpec struct {
	Name       string
	Partitions int32
	Config     map[string]string
}

// Embedded is a Kafka broker in this process, for trying things out. Clients
// reach it over TCP like any other. It is not fast, and has one node.
type Embedded struct{ cluster *kfake.Cluster }

// StartEmbedded starts a broker on a loopback port that the kernel chooses,
// and creates the topics that do not exist yet. With a dataDir, records
// survive even a kill. If dataDir is empty, they are in memory only.
func StartEmbedded(ctx context.Context, topics []TopicSpec, dataDir string, log *slog.Logger) (*Embedded, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("cannot start the embedded broker: %w", err)
	}
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("tapecast-embedded"),
		// Retention bounds its memory. By default kfake applies it once an hour.
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "10000"}),
		kfake.WithLogger(kfakeLog{cmp.Or(log, slog.New(slog.DiscardHandler))}),
	}
	if dataDir != "" {
		opts = append(opts, kfake.DataDir(dataDir))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, fmt.Errorf("cannot start the embedded broker: %w", err)
	}
	e := &Embedded{cluster}
	for _, t := range topics {
		err := cluster.CreateTopic(t.Name, t.Partitions, t.Config)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			e.Stop()
			return nil, fmt.Errorf("cannot create topic %q with %d partitions: %w", t.Name, t.Partitions, err)
		}
	}
	return e, nil
}

// Addrs returns the addresses at which the broker listens.
func (e *Embedded) Addrs() []string { return e.cluster.ListenAddrs() }

// Stop ends the broker. Its files stay.
func (e *Embedded) Stop() { e.cluster.Close() }

// kfakeLog writes the broker's log as debug lines, and its errors as warnings.
type kfakeLog struct{ log *slog.Logger }

func (l kfakeLog) Logf(level kfake.LogLevel, format string, args ...any) {
	at := slog.LevelDebug
	if level == kfake.LogLevelError {
		at = slog.LevelWarn
	}
	if l.log.Enabled(context.Background(), at) {
		l.log.Log(context.Background(), at, "embedded broker", "said", fmt.Sprintf(format, args...))
	}
}
