package e2e

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// services is the service-level form of /metrics, in exactly its shape.
type services struct {
	Services map[string]struct {
		Status        string
		Connections   *int
		Processed     *int64
		Requests      *int64
		Verifications *int64
		Pending       *int
		Records       *int64
	}
	ServiceCount           struct{ Total, Running, Initialized int }
	Uptime                 float64
	PendingAuthentications *int
}

func (g *gateway) services() services {
	g.t.Helper()
	status, body := g.get("/metrics", "Accept", "application/json")
	var s services
	if err := json.Unmarshal([]byte(body), &s); err != nil || status != 200 {
		g.t.Fatalf("/metrics as JSON: %d %v %.500s", status, err, body)
	}
	return s
}

func (g *gateway) connections() int {
	g.t.Helper()
	s := g.services().Services["ConnectionManager"]
	if s.Connections == nil {
		g.t.Fatal("ConnectionManager has no connections in /metrics")
	}
	return *s.Connections
}

var serviceNames = []string{"AuthService", "ConnectionHandler", "ConnectionManager", "KafkaConsumer", "Market",
	"RateLimiter"}

// operatorsSurface compares the demo's internal port's answers with their documented shapes. conns
// connections are authenticated.
func operatorsSurface(t *testing.T, g *gateway, conns int) {
	t.Helper()
	healthSurface(t, g)
	if status, _ := g.get("/livez"); status != 200 {
		t.Errorf("/livez: %d", status)
	}
	if status, _ := g.get("/readyz"); status != 200 {
		t.Errorf("/readyz: %d", status)
	}
	servicesSurface(t, g, conns)
	metricsSurface(t, g)

	var list map[string]json.RawMessage
	status, body := g.get("/connections")
	exact(t, "/connections", body, &list)
	if status != 200 || len(list) < 5 {
		t.Errorf("/connections: %d %s", status, body)
	}
	for _, path := range []string{"/nothing", "/debug/append"} {
		if status, _ := g.get(path); status != 404 {
			t.Errorf("%s: %d, want 404", path, status)
		}
	}
}

func healthSurface(t *testing.T, g *gateway) {
	t.Helper()
	var health struct {
		Status    string
		Timestamp int64
		Services  map[string]struct {
			Status        string
			IsRunning     bool
			Since         int64
			LastError     string
			Restarts      int
			RestartReason string
		}
	}
	status, body := g.get("/health")
	exact(t, "/health", body, &health)
	if status != 200 || health.Status != "healthy" || health.Timestamp <= 0 {
		t.Errorf("/health: %d %s", status, body)
	}
	if got := slices.Sorted(maps.Keys(health.Services)); !slices.Equal(got, serviceNames) {
		t.Errorf("/health has the services %v, want %v", got, serviceNames)
	}
	for name, s := range health.Services {
		if !s.IsRunning || s.Since <= 0 || s.Restarts != 0 || s.Status != "healthy" && s.Status != "running" {
			t.Errorf("/health: %s is %+v", name, s)
		}
	}
}

// servicesSurface is /metrics as JSON.
func servicesSurface(t *testing.T, g *gateway, conns int) {
	t.Helper()
	var s services
	_, body := g.get("/metrics", "Accept", "application/json")
	exact(t, "/metrics", body, &s)
	if got := slices.Sorted(maps.Keys(s.Services)); !slices.Equal(got, serviceNames) {
		t.Errorf("/metrics has the services %v, want %v", got, serviceNames)
	}
	n := len(serviceNames)
	if s.ServiceCount.Total != n || s.ServiceCount.Running != n || s.ServiceCount.Initialized != n || s.Uptime <= 0 ||
		s.PendingAuthentications == nil {
		t.Errorf("/metrics: %s", body)
	}
	switch m := s.Services; {
	case m["ConnectionManager"].Connections == nil || *m["ConnectionManager"].Connections != conns:
		t.Errorf("/metrics: ConnectionManager.connections is not %d: %s", conns, body)
	case m["KafkaConsumer"].Processed == nil || *m["KafkaConsumer"].Processed == 0:
		t.Errorf("/metrics: KafkaConsumer.processed: %s", body)
	case m["RateLimiter"].Requests == nil || m["AuthService"].Verifications == nil ||
		m["ConnectionHandler"].Pending == nil:
		t.Errorf("/metrics: a service's own figure is missing: %s", body)
	case m["Market"].Records == nil || *m["Market"].Records == 0:
		t.Errorf("/metrics: Market.records: %s", body)
	case *m["AuthService"].Verifications < int64(conns) || *m["ConnectionHandler"].Pending != 0:
		t.Errorf("/metrics: %s", body)
	}
}

// metricsSurface is /metrics as text.
func metricsSurface(t *testing.T, g *gateway) {
	t.Helper()
	status, body := g.get("/metrics")
	if status != 200 || !strings.Contains(body, "go_goroutines ") || strings.Contains(body, "NaN") {
		t.Errorf("/metrics as text: %d %.300s", status, body)
	}
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, "#") && len(strings.Fields(line)) != 2 && !strings.Contains(line, `"`) {
			t.Errorf("/metrics: bad line %q", line)
		}
	}
}

// exact decodes a body that may have only the fields of into.
func exact(t *testing.T, path, body string, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v in %s", path, err, body)
	}
}
