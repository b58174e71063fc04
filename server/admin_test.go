package server

import (
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"tapecast/loop"
	"tapecast/server/config"
)

// TestAdminShapes holds the internal port against its documented shapes.
func TestAdminShapes(t *testing.T) {
	s := startServer(t)
	enter(t, s, "42")
	waiting := connect(t, s, "")
	waiting.until("auth_required")
	healthShape(t, s)
	waiting.send(`{"method":"ping","id":1}`)
	waiting.until("-32001")
	servicesShape(t, s)
	connectionsShape(t, s)
}

func healthShape(t *testing.T, s *Server) {
	t.Helper()
	var health struct {
		Status    string
		Timestamp int64
		Services  map[string]struct {
			Status    string
			IsRunning bool
			Since     int64
			Restarts  int
		}
	}
	code, header, body := s.ask(t, "GET", "/health", "")
	decode(t, body, &health)
	if code != 200 || health.Status != "healthy" || header.Get("Content-Type") != "application/json" ||
		len(health.Services) != 5 {
		t.Errorf("/health: %d %v %s", code, header, body)
	}
	for name, v := range health.Services {
		if v.Status != "healthy" || !v.IsRunning || v.Restarts != 0 ||
			time.Since(time.UnixMilli(v.Since)).Abs() > time.Minute {
			t.Errorf("/health: %s is %+v", name, v)
		}
	}
}

// servicesShape: /metrics as JSON, with one client that has authenticated and one that has not.
func servicesShape(t *testing.T, s *Server) {
	t.Helper()
	var m struct {
		Services map[string]struct {
			Status                                                   string
			Connections, Processed, Requests, Verifications, Pending *int
		}
		ServiceCount           struct{ Total, Running, Initialized int }
		Uptime                 float64
		PendingAuthentications int
	}
	_, _, body := s.ask(t, "GET", "/metrics", "", "Accept", "application/json")
	decode(t, body, &m)
	figure := func(name string, v *int, want int) {
		t.Helper()
		if v == nil || *v != want {
			t.Errorf("/metrics: %s has not %d: %s", name, want, body)
		}
	}
	figure("ConnectionManager", m.Services["ConnectionManager"].Connections, 2)
	figure("KafkaConsumer", m.Services["KafkaConsumer"].Processed, 0)
	figure("RateLimiter", m.Services["RateLimiter"].Requests, 1)
	figure("AuthService", m.Services["AuthService"].Verifications, 1)
	figure("ConnectionHandler", m.Services["ConnectionHandler"].Pending, 1)
	if m.ServiceCount != (struct{ Total, Running, Initialized int }{5, 5, 5}) || m.Uptime <= 0 ||
		m.PendingAuthentications != 1 {
		t.Errorf("/metrics: %s", body)
	}
}

func connectionsShape(t *testing.T, s *Server) {
	t.Helper()
	var c connectionsJSON
	var body string
	eventually(t, "the loops have published their figures", func() bool {
		_, _, body = s.ask(t, "GET", "/connections?n=3", "")
		c = connectionsJSON{}
		decode(t, body, &c)
		return c.Connections == 2 && c.Authenticated == 1 && c.Subscriptions == 7
	})
	if c.Pending != 1 || len(c.Loops) == 0 || len(c.TopRooms) != 3 || c.TopRooms[0].Members != 1 ||
		c.Classes["private"] != 3 || c.Classes["market"] != 1 || c.Slowest == nil {
		t.Errorf("/connections: %s", body)
	}
	for _, n := range []string{"0", "1001", "x", "-1"} {
		if code := s.get(t, "/connections?n="+n, "n must be"); code != 400 {
			t.Errorf("/connections?n=%s: %d", n, code)
		}
	}
}

// TestAdminRefuses: paths that do not exist, or cannot be asked that way.
func TestAdminRefuses(t *testing.T) {
	s := startServer(t)
	f := func(method, path string, code int, words string, headers ...string) http.Header {
		t.Helper()
		got, header, body := s.ask(t, method, path, "", headers...)
		if got != code || method != "HEAD" && !strings.Contains(body, words) {
			t.Errorf("%s %s: %d %s, want %d %q", method, path, got, body, code, words)
		}
		return header
	}
	f("GET", "/", 404,
		`{"error":"/ does not exist on this port, which has /health /livez /readyz /metrics /connections /publish `+
			`/disconnect /docs/ /docs/guide/ /llms.txt /openapi.json /asyncapi.json /docs/asyncapi"}`)
	f("GET", "/ws", 404, `"error"`)
	f("GET", "/debug/pprof/", 404, `"error"`)
	f("POST", "/debug/append", 404, `"error"`)
	f("HEAD", "/health", 200, "")
	if h := f("POST", "/health", 405, "/health takes GET or HEAD"); h.Get("Allow") != "GET, HEAD" {
		t.Errorf("Allow: %s", h.Get("Allow"))
	}
	f("GET", "/publish", 405, "takes POST")
	// A page that an operator looks at may not publish.
	f("POST", "/publish", 403, "", "Sec-Fetch-Site", "cross-site")
	f("POST", "/publish", 403, "", "Origin", "http://evil.example")
}

func TestPprof(t *testing.T) {
	s := startServer(t, func(cfg *config.Config) { cfg.Admin.Pprof = true })
	f := func(path string, code int, words string) {
		t.Helper()
		if got := s.get(t, path, words); got != code {
			t.Errorf("%s: %d, want %d", path, got, code)
		}
	}
	f("/debug/pprof/", 200, "goroutine")
	f("/debug/pprof/heap?gc=1&debug=1", 200, "HeapAlloc")
	f("/debug/pprof/goroutine?debug=1", 200, "goroutine profile")
	f("/debug/pprof/cmdline", 200, "server")
	f("/debug/pprof/symbol", 200, "num_symbols")
	f("/debug/pprof/trace?seconds=0.01", 200, "go 1.")
	f("/nothing", 404, "/debug/pprof/")
}

var (
	metricLine = regexp.MustCompile(`^[a-z_][a-z0-9_]*(\{[a-z_]+="[^"]*"(, ?[A-Za-z_]+="[^"]*")*\})? (\S+)$`)
	metricMeta = regexp.MustCompile(`^# (HELP|TYPE) ([a-z_][a-z0-9_]*) (.+)$`)
)

// TestMetricsText: every line of the Prometheus form is well-formed, each of
// our families is described once, before its lines, and kinds fit names.
func TestMetricsText(t *testing.T) {
	s := startServer(t)
	c := enter(t, s, "42")
	c.send(`{"method":"ping","id":1}`)
	c.until("timestamp")
	s.ask(t, "POST", "/publish", `{"topic":"events","value":{"metadata":{"eventType":"system.alert"},"data":1}}`)
	c.until(`"room":"system_alerts"`)
	s.ask(t, "POST", "/publish", `{"topic":"events","value":{"no":"route"}}`)
	var body string
	eventually(t, "the figures have arrived", func() bool {
		_, _, body = s.ask(t, "GET", "/metrics", "")
		for _, want := range []string{
			"tapecast_messages_sent_total 1\n", `tapecast_topic_bad_total{topic="events",reason="json"} 0`,
			`tapecast_ingest_unmatched_total{topic="events"} 1`,
			`tapecast_kafka_lag{topic="events"} 0`,
		} {
			if !strings.Contains(body, want) {
				return false
			}
		}
		return true
	})
	checkHistograms(t, body)
	checkLines(t, body)
	for _, want := range wantMetrics {
		if !strings.Contains(body, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(body, "vmrange") {
		t.Error("a histogram has buckets that Prometheus cannot read")
	}
}

// wantMetrics is how some lines begin.
var wantMetrics = []string{
	"tapecast_connections 1", "tapecast_subscriptions 7", "tapecast_wildcards 0", "tapecast_wildcards_full_total 0",
	"tapecast_bytes_sent_total ",
	"tapecast_tape_bytes ", "tapecast_sends_total ", "tapecast_partial_sends_total 0",
	`tapecast_ingest_bad_total{reason="json"} 0`,
	`tapecast_requests_total{method="ping"} 1`, `tapecast_auth_seconds_bucket{le="0.005"}`,
	`tapecast_join_seconds_count 1`,
	"tapecast_build_info{", "tapecast_loops ", "tapecast_pollers ", "tapecast_shards ", "tapecast_readers 1",
	`tapecast_loop_busy_seconds_total{loop="0"} 0.`,
	`tapecast_loop_connections{loop="0"} `, "tapecast_pass_busy_seconds_total 0", "tapecast_send_frames_count 1\n",
	"tapecast_send_frames_sum 1\n",
	`tapecast_send_bytes_bucket{le="131072"} `, `tapecast_pass_duration_seconds_bucket{le="0.0016"} 0`,
	"tapecast_pass_members_count 0",
	`tapecast_freshness_seconds_bucket{topic="events",le="65.536"} 1` + "\n",
	`tapecast_freshness_seconds_count{topic="events"} 1` + "\n",
	`tapecast_lagging_members{class="private"} 0`, `tapecast_lag_bytes{class="market"} 0`,
	`tapecast_lag_seconds{class="alert"} 0`,
	`tapecast_memory_bytes{part="connections"} `, `tapecast_memory_bytes{part="tapes"} `,
	`tapecast_memory_bytes{part="recall"} 0`, `tapecast_memory_bytes{part="stacks"} `,
	`tapecast_memory_bytes{part="kafka_queues"} `, `tapecast_topic_records_total{topic="events"} 2`,
	`tapecast_topic_bytes_total{topic="events"} `,
	`tapecast_topic_newest_timestamp_seconds{topic="events"} 1`, "tapecast_kafka_queued_records ",
	"process_open_fds ", "process_resident_memory_bytes ", "go_goroutines ", "go_memstats_heap_alloc_bytes ",
}

// checkLines: every line is well-formed, and what it tells is described before it.
func checkLines(t *testing.T, body string) {
	t.Helper()
	kinds := map[string]string{}
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		if m := metricMeta.FindStringSubmatch(line); m != nil {
			if m[1] == "TYPE" {
				if kinds[m[2]] != "" {
					t.Errorf("%s is described twice", m[2])
				}
				kinds[m[2]] = m[3]
			}
			continue
		}
		m := metricLine.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("bad line: %s", line)
			continue
		}
		if _, err := strconv.ParseFloat(m[3], 64); err != nil {
			t.Errorf("bad value: %s", line)
		}
		name, _, _ := strings.Cut(line, " ")
		name, _, _ = strings.Cut(name, "{")
		if !strings.HasPrefix(name, "tapecast_") {
			continue
		}
		for _, end := range []string{"_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(name, end); ok && kinds[base] == "histogram" {
				name = base
			}
		}
		if kinds[name] == "" {
			t.Errorf("not described before its line: %s", line)
		}
		if (kinds[name] == "counter") != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s", name, kinds[name])
		}
	}
}

// checkHistograms: buckets have rising bounds and are cumulative, and the last one
// is the count.
func checkHistograms(t *testing.T, body string) {
	t.Helper()
	type state struct{ le, n float64 }
	last := map[string]state{} // by series without le
	seen := 0
	for line := range strings.Lines(body) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		name, labels, ok := strings.Cut(series, "_bucket{")
		if v, _ := strconv.ParseFloat(value, 64); ok {
			at := strings.LastIndex(labels, "le=\"")
			key := name + "{" + strings.TrimSuffix(labels[:at], ",")
			le, err := strconv.ParseFloat(strings.Trim(labels[at+3:], "\""), 64)
			had, again := last[key]
			if err != nil || again && (le <= had.le || v < had.n) {
				t.Errorf("%s after %+v", line, had)
			}
			last[key] = state{le, v}
			seen++
			continue
		}
		name, labels, ok = strings.Cut(series, "_count")
		if ok && strings.HasPrefix(line, "tapecast_") && !strings.HasPrefix(labels, "s_") { // as in partition_counts_…
			if !strings.HasPrefix(labels, "{") {
				name, value, _ = strings.Cut(strings.TrimSpace(line), "_count ")
				labels = "{"
			}
			if v, _ := strconv.ParseFloat(value, 64); v != last[name+labels].n || !math.IsInf(last[name+labels].le, 1) {
				t.Errorf("%s after %+v", line, last[name+labels])
			}
		}
	}
	if seen < 5*(loop.Buckets+1) {
		t.Errorf("%d buckets", seen)
	}
}
