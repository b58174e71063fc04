package server

import (
	"context"
	"strings"
	"testing"

	"tapecast/ingest"
	"tapecast/rooms/testwait"
	"tapecast/server/config"
)

func withTierTopic(cfg *config.Config) { cfg.Limits.TiersTopic = "tiers" }

// TestTierHealth: a node whose rows were not read is not ready, and says why. Bad records, and a broker
// that goes later, degrade it. SIGHUP leaves the rows of the topic.
func TestTierHealth(t *testing.T) {
	s := newServer(t, withTierTopic, func(cfg *config.Config) {
		cfg.Kafka.Brokers, cfg.Ingest.Routes = []string{"127.0.0.1:1"}, nil
	})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the reason", func() bool {
		code, _, body := s.ask(t, "GET", "/health", "")
		return code == 503 && strings.Contains(body, "limits.tiers_topic was not read yet: topic \\\"tiers\\\"")
	})
	if code, _, _ := s.ask(t, "GET", "/readyz", ""); code != 503 {
		t.Errorf("readyz says %d", code)
	}

	if _, err := tryConnect(t, s, ""); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("a client that comes before the rows: %v", err)
	}

	s = startServer(t, withTierTopic)
	p, err := ingest.NewPublisher(s.brokers, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	put := func(key, value string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), testwait.Patience)
		defer cancel()
		if _, _, err := p.Publish(ctx, "tiers", key, []byte(value), nil); err != nil {
			t.Fatal(err)
		}
	}
	healthy := func(words string) func() bool {
		return func() bool {
			code, _, body := s.ask(t, "GET", "/health", "")
			return code == 200 && strings.Contains(body, words)
		}
	}
	eventually(t, "healthy", healthy(`"TierList":{"status":"healthy"`))
	burst := func() int64 {
		n, _ := s.limit.TierOf("pro")
		return s.limit.Row(n).BytesPerSecond
	}
	put("pro", `{"bytes_per_second":"8KiB"}`)
	eventually(t, "the row", func() bool { return burst() == 8<<10 })
	put("pro", `{"bytes_per_second":1}`)
	eventually(t, "degraded", healthy(`1 records of limits.tiers_topic do not hold, and their tiers are as they were`))
	if err := s.ReloadTiers(s.cfg); err != nil || burst() != 8<<10 {
		t.Errorf("%v, %d", err, burst())
	}
	put("pro", `{}`)
	eventually(t, "healthy again", healthy(`"TierList":{"status":"healthy"`))
	s.embedded.Stop()
	eventually(t, "stale", healthy("may not hold yet: topic"))
	if code, _, _ := s.ask(t, "GET", "/readyz", ""); code != 200 {
		t.Errorf("readyz says %d", code)
	}
	_, _, body := s.ask(t, "GET", "/metrics", "")
	for _, want := range []string{"records_bad_total 1", "records_total 3", "rows 1", "rows_bad 0"} {
		if !strings.Contains(body, "\ntapecast_tier_"+want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}
