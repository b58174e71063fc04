package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
)

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
