package demo

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"tapecast/ingest"
)

func TestEmbeddedKeepsData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	topics := []TopicSpec{{Name: "a", Partitions: 2},
		{Name: "b", Partitions: 1, Config: map[string]string{"cleanup.policy": "compact"}}}
	for round := range 2 {
		e, err := StartEmbedded(t.Context(), topics, dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		p, err := ingest.NewPublisher(e.Addrs(), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, off, err := p.Publish(t.Context(), "b", "k", []byte("1"), nil)
		if err != nil || off != int64(round) {
			t.Errorf("round %d: offset %d, %v", round, off, err)
		}
		p.Close()
		e.Stop()
	}
}

func TestEmbeddedRefuses(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := StartEmbedded(ended, nil, "", nil); err == nil {
		t.Error("the broker starts although its context has ended")
	}
	// Kafka refuses names that differ only in a dot and an underscore.
	if _, err := StartEmbedded(t.Context(), []TopicSpec{{Name: "a.b", Partitions: 1}, {Name: "a_b", Partitions: 1}}, "",
		nil); err == nil || !strings.Contains(err.Error(), `"a_b"`) {
		t.Errorf("two topics whose names collide: %v", err)
	}
	if _, err := StartEmbedded(t.Context(), nil, "/dev/null/x", nil); err == nil {
		t.Error("a data folder that cannot be made is taken")
	}
}
