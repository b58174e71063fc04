package server

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tapecast/ingest/demo"
	"tapecast/rooms/wire"
	"tapecast/server/config"
	"tapecast/server/registry"
)

// TestServer: from Kafka to the clients, over real sockets and the embedded
// broker.
func TestServer(t *testing.T) {
	s := startServer(t)
	a, b, other := enter(t, s, "42"), enter(t, s, "42"), enter(t, s, "43")
	publish := func(body string) {
		t.Helper()
		if code, _, answer := s.ask(t, "POST", "/publish", body); code != http.StatusOK ||
			!strings.Contains(answer, `"offset":`) {
			t.Fatalf("publish %s: %d %s", body, code, answer)
		}
	}
	publish(`{"topic":"private.orders","key":"42","value":{ "orderId":"o1",  "px":"1.50" }}`)
	for _, c := range []*wsClient{a, b} {
		if m := c.until(`{"room":"orders:42"`); !strings.HasPrefix(m,
			`{"room":"orders:42","type":"order_update","key":"o1",`) ||
			!strings.HasSuffix(m, `"data":{ "orderId":"o1",  "px":"1.50" }}`) {
			t.Errorf("got %s", m)
		}
	}
	publish(`{"topic":"events","value":{"metadata":{"eventType":"system.alert"},"data":["all"]},` +
		`"headers":{"by":"hand"}}`)
	// Whatever of orders it is sent comes before the alert, or it never does.
	if m := other.until(`"room":`); !strings.Contains(m, `"room":"system_alerts"`) ||
		!strings.HasSuffix(m, `"data":["all"]}`) {
		t.Errorf("got %s, although orders of 42 are for 42", m)
	}

	a.send(`{"method":"subscribe","params":{"rooms":["trades:BTCUSDT","orders:43"]},"id":1}`)
	if m := a.until(`"id":1`); !strings.Contains(m,
		`{"room":"trades:BTCUSDT","status":"joined","class":"stream","chain":true,"positions":{"epoch":"`) ||
		!strings.Contains(m, `-32007`) {
		t.Errorf("got %s", m)
	}
	publish(`{"topic":"market.trades","key":"BTCUSDT","value":{"s":"BTCUSDT","p":"1"}}`)
	a.until(`"room":"trades:BTCUSDT"`)
	a.send(`{"method":"unsubscribe","params":["trades:BTCUSDT"],"id":2}`)
	a.until(`"id":2,"result":null`)
	a.send(`{"method":"list_subscriptions","id":3}`)
	if m := a.until(`"id":3`); strings.Count(m, `"status":"joined"`) != 7 || strings.Contains(m, "BTCUSDT") {
		t.Errorf("got %s", m)
	}

	if n := s.limit.Conns.Load(); n != 3 {
		t.Errorf("%d connections are counted", n)
	}
	a.conn.Close()
	eventually(t, "the closed connection is counted off", func() bool { return s.limit.Conns.Load() == 2 })
	if code := s.get(t, "/metrics", `tapecast_closes_total{code="1006"} 1`); code != 200 {
		t.Errorf("/metrics: %d", code)
	}
}

// TestClocksOverSockets: the loop's timers reach the sessions.
func TestClocksOverSockets(t *testing.T) {
	s := startServer(t, func(cfg *config.Config) { cfg.Auth.Timeout, cfg.Auth.Leeway = 300*time.Millisecond, 0 })
	late := connect(t, s, "")
	late.until("auth_required")
	late.until("-32003")
	if why, code := late.next(); code != wire.CloseAuthLate {
		t.Errorf("closed with %d %q", code, why)
	}
	short := connect(t, s, "?token="+testToken(t, "42", 2*time.Second))
	short.until("auth_expiring")
	if why, code := short.end(); code != wire.CloseExpired {
		t.Errorf("closed with %d %q", code, why)
	}
}

// TestMarket: the generated market reaches a client's rooms.
func TestMarket(t *testing.T) {
	s := startServer(t, func(cfg *config.Config) { cfg.Ingest.Market = true })
	c := enter(t, s, "42")
	for _, room := range []string{"prices", "trades"} {
		c.until(`{"room":"` + room + `",`)
	}
}

// TestShutdown: readiness goes first, then the port, then the clients, who are
// told.
func TestShutdown(t *testing.T) {
	s := startServer(t, func(cfg *config.Config) { cfg.Server.Drain = 500 * time.Millisecond })
	clients := []*wsClient{enter(t, s, "1"), enter(t, s, "2"), connect(t, s, "")}
	clients[2].until("auth_required")
	addr := s.Listen().String()
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	eventually(t, "readyz takes it back",
		func() bool { return s.get(t, "/readyz", "") == http.StatusServiceUnavailable })
	s.get(t, "/readyz", `"draining"`)
	if code := s.get(t, "/livez", "alive"); code != http.StatusOK {
		t.Errorf("livez while draining: %d", code)
	}
	for _, c := range clients {
		c.until(`{"jsonrpc":"2.0","method":"server_shutdown","params":{"reason":"the server is stopping",` +
			`"within":500}}`)
		if why, code := c.next(); code != wire.CloseRestart || why == "" {
			t.Errorf("closed with %d %q", code, why)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("the public port is still open")
	}
	for _, r := range s.registry.Report() {
		if r.Running || r.Status != registry.Stopped {
			t.Errorf("in the end %+v", r)
		}
	}
}

// TestCloseDuringShutdown: a second signal cuts the drain short.
func TestCloseDuringShutdown(t *testing.T) {
	s := startServer(t, func(cfg *config.Config) { cfg.Server.Drain = time.Hour })
	c := enter(t, s, "1")
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	c.until("server_shutdown")
	begun := time.Now()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if d := time.Since(begun); d > closeTime {
		t.Errorf("close took %s", d)
	}
}

// TestShutdownOutOfTime: clients that do not go are named.
func TestShutdownOutOfTime(t *testing.T) {
	s := startServer(t, func(cfg *config.Config) { cfg.Server.Drain = time.Hour })
	enter(t, s, "1")
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); err == nil || !strings.Contains(err.Error(), "cannot end 1 clients within the drain") {
		t.Errorf("got %v", err)
	}
	s.ended = nil // told
}

// TestKafkaOutage: health is degraded, readiness stays, and clients go on when
// the broker does not come back.
func TestKafkaOutage(t *testing.T) {
	broker, err := demo.StartEmbedded(t.Context(), demo.Topics(), "", quietLog())
	if err != nil {
		t.Fatal(err)
	}
	stop := broker.Stop
	defer func() { stop() }()
	s := startServer(t, func(cfg *config.Config) {
		cfg.Kafka.Brokers = broker.Addrs()
		cfg.Rooms = append(cfg.Rooms, config.Room{Match: "keyed:*", Class: "stream"})
		for _, r := range demo.Routes() {
			cfg.Ingest.Routes = append(cfg.Ingest.Routes, config.Route{
				Topic: r.Topic, Match: r.Match, Rooms: r.Rooms, Key: r.Key, Type: r.Type, Payload: r.Payload,
				Partitioner: r.Partitioner,
			})
		}
	})
	if s.embedded != nil {
		t.Fatal("an embedded broker runs beside the configured one")
	}
	if code := s.get(t, "/health", `{"status":"healthy"`); code != http.StatusOK {
		t.Errorf("health: %d", code)
	}
	s.get(t, "/metrics", "\ntapecast_kafka_up 1\n")
	s.get(t, "/metrics", `tapecast_topic_up{topic="private.orders"} 1`)
	c := enter(t, s, "42")
	broker.Stop()
	stop = func() {}
	eventually(t, "health says degraded", func() bool {
		code, _, body := s.ask(t, "GET", "/health", "")
		return code == http.StatusOK && strings.HasPrefix(body, `{"status":"degraded"`) &&
			strings.Contains(body, `"KafkaConsumer":{"status":"degraded","isRunning":true,"detail":"`)
	})
	if code := s.get(t, "/readyz", "ready"); code != http.StatusOK {
		t.Errorf("readyz in an outage: %d", code)
	}
	s.get(t, "/metrics", `tapecast_service_up{service="KafkaConsumer"} 0.5`)
	s.get(t, "/metrics", "\ntapecast_kafka_up 0\n")
	s.get(t, "/metrics", `tapecast_topic_up{topic="private.orders"} 0`)
	c.send(`{"method":"ping","id":1}`)
	c.until(`"timestamp"`)
	s.publisher.within = 300 * time.Millisecond
	if code, _, body := s.ask(t, "POST", "/publish", `{"topic":"events","value":1}`); code != http.StatusBadGateway &&
		code != http.StatusServiceUnavailable {
		t.Errorf("publish in an outage: %d %s", code, body)
	}
}

// TestNotStarted: what an orchestrator sees of a server that is not up.
func TestNotStarted(t *testing.T) {
	cfg := testConfig()
	cfg.Admin = config.Admin{Listen: "127.0.0.1:0", Write: true, TokenFile: adminTokenFile(t, testAdminToken)}
	s, err := New(cfg, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	if s.Listen() != nil || s.AdminAddr() != nil {
		t.Error("it has addresses")
	}
	if err := s.admin.Start(cfg.Admin.Listen); err != nil {
		t.Fatal(err)
	}
	f := func(path string, code int, words string) {
		t.Helper()
		if got := s.get(t, path, words); got != code {
			t.Errorf("%s: %d, want %d", path, got, code)
		}
	}
	f("/livez", 200, "alive")
	f("/readyz", 503, "starting")
	f("/health", 503, `{"status":"unhealthy"`)
	f("/health", 503, `"KafkaConsumer":{"status":"initialized","isRunning":false,"detail":"it has not been started `+
		`yet","restarts":0}`)
	f("/connections", 503, "not open yet")
	f("/metrics", 200, `tapecast_ready 0`)
	if code, _, body := s.ask(t, "POST", "/publish", `{"topic":"events","value":1}`); code != 503 {
		t.Errorf("/publish: %d %s", code, body)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestStartErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	f := func(words string, change func(*config.Config)) {
		t.Helper()
		cfg := testConfig()
		cfg.Server.Listen, cfg.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
		change(cfg)
		s, err := New(cfg, quietLog())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, want %q", err, words)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	f("set admin.listen to another one", func(cfg *config.Config) { cfg.Admin.Listen = taken.Addr().String() })
	f("cannot start ConnectionManager: cannot listen on "+taken.Addr().String(),
		func(cfg *config.Config) { cfg.Server.Listen = taken.Addr().String() })
	f("cannot start KafkaConsumer", func(cfg *config.Config) { cfg.Kafka.Start = "yesterday" })
}

func TestNewErrors(t *testing.T) {
	f := func(words string, change func(*config.Config)) {
		t.Helper()
		cfg := testConfig()
		change(cfg)
		if _, err := New(cfg, quietLog()); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, want %q", err, words)
		}
	}
	f("cannot use the rooms", func(cfg *config.Config) { cfg.Rooms = append(cfg.Rooms, cfg.Rooms[0]) })
	f("cannot compile route 0: rooms",
		func(cfg *config.Config) { cfg.Ingest.Routes = []config.Route{{Topic: "x", Rooms: []string{"nowhere"}}} })
	f("shards", func(cfg *config.Config) { cfg.Server.Shards = 1000 })
	f("auth.secret", func(cfg *config.Config) { cfg.Auth.Secret = "" })
}

// TestCancelledStart: a signal while starting.
func TestCancelledStart(t *testing.T) {
	cfg := testConfig()
	cfg.Server.Listen, cfg.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
	s, err := New(cfg, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Start(ctx); err == nil {
		t.Error("started")
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestServicesAreOrdered(t *testing.T) {
	s, err := New(testConfig(), quietLog())
	if err != nil {
		t.Fatal(err)
	}
	needs := map[string][]string{}
	for _, s := range s.services() {
		needs[s.Name] = slices.Concat(s.Needs, s.Wants)
	}
	at := map[string]int{}
	for i, r := range s.registry.Report() {
		at[r.Name] = i
		for _, need := range needs[r.Name] {
			if n, ok := at[need]; !ok || n >= i {
				t.Errorf("%s starts before %s, which it needs", r.Name, need)
			}
		}
	}
	if len(at) != 6 || at["ConnectionManager"] != 4 {
		t.Errorf("order %v", at)
	}
	var out struct {
		Services map[string]json.RawMessage
	}
	b, err := json.Marshal(s.serviceFigures())
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil || len(out.Services) != 6 {
		t.Errorf("%v %s", err, b)
	}
}
