package demo

import (
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

// Embedded is a Kafka broker in this process, for trying things out: clients
// reach it over TCP like any other. It is not fast and keeps to one node.
type Embedded struct {
	cluster *kfake.Cluster
	addrs   []string
}

// StartEmbedded starts a broker on a loopback port that the kernel chooses,
// and creates those topics that are not there yet. With a dataDir, records
// survive even a kill; without one they are kept in memory only.
func StartEmbedded(ctx context.Context, topics []TopicSpec, dataDir string, log *slog.Logger) (*Embedded, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("cannot start the embedded broker: %w", err)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("tapecast-embedded"),
		// Retention is what bounds its memory; kfake looks once an hour by default.
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "10000"}),
		kfake.WithLogger(kfakeLog{log}),
	}
	if dataDir != "" {
		opts = append(opts, kfake.DataDir(dataDir))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, fmt.Errorf("cannot start the embedded broker: %w", err)
	}
	e := &Embedded{cluster: cluster, addrs: cluster.ListenAddrs()}
	for _, t := range topics {
		err := cluster.CreateTopic(t.Name, t.Partitions, t.Config)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			e.Stop()
			return nil, fmt.Errorf("cannot create topic %q with %d partitions: %w", t.Name, t.Partitions, err)
		}
	}
	return e, nil
}

// Addrs lists where the broker listens.
func (e *Embedded) Addrs() []string { return e.addrs }

// Stop ends the broker. What it has written to its dataDir stays.
func (e *Embedded) Stop() { e.cluster.Close() }

// kfakeLog writes the broker's own words as debug lines.
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
