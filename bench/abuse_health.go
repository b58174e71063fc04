package bench

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"tapecast/bench/client"
	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/scrape"
)

// HealthSeen is what a gateway said of itself while it was looked at each second.
type HealthSeen struct {
	Looks  int            `json:"looks"`
	Health map[string]int `json:"health"` // looks at /health, by the status that it gave
	Livez  map[string]int `json:"livez"`
	Worst  string         `json:"worst"`            // of /health: healthy, degraded, unhealthy, or no answer
	Detail string         `json:"detail,omitempty"` // what it said when that was first seen; "": healthy
	Dead   string         `json:"dead,omitempty"`   // what /livez said when it first failed; "": it did not
}

// Statuses from the best to the worst; what a gateway does not say is the last.
var healthOrder = []string{"", "healthy", "degraded", "unhealthy", client.NoAnswer}

// healthEvery is the time between two looks; a look takes healthPatience at most.
const (
	healthEvery    = time.Second
	healthPatience = 3 * time.Second
)

// watchHealth looks at /health and /livez until the time given (CLOCK_MONOTONIC).
func watchHealth(ctx context.Context, admin scrape.Port, until int64) *HealthSeen {
	h := &HealthSeen{Health: map[string]int{}, Livez: map[string]int{}}
	client := admin.Client(healthPatience)
	for machine.MonotonicIn(0) < until {
		began := time.Now()
		h.look(ctx, client, admin.URL)
		if machine.Pause(ctx, healthEvery-time.Since(began)) != nil {
			break
		}
	}
	return h
}

func (h *HealthSeen) look(ctx context.Context, client *http.Client, base string) {
	_, status, body := getStatus(ctx, client, base+"/health")
	code, live, said := getStatus(ctx, client, base+"/livez")
	if ctx.Err() != nil {
		return
	}
	h.Looks++
	h.Health[status]++
	h.Livez[live]++
	if rank(status) > rank(h.Worst) {
		h.Worst, h.Detail = status, ""
		if status != "healthy" {
			h.Detail = body
		}
	}
	if code != http.StatusOK && h.Dead == "" {
		h.Dead = live + " " + said
	}
}

func rank(status string) int {
	for k, s := range healthOrder {
		if s == status {
			return k
		}
	}
	return len(healthOrder)
}

// mostDetail is how much of an answer is kept.
const mostDetail = 2000

// getStatus returns the answer's code, the status that its JSON names, and its text.
func getStatus(ctx context.Context, cl *http.Client, url string) (code int, status, text string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, client.NoAnswer, err.Error()
	}
	resp, err := cl.Do(req)
	if err != nil {
		return 0, client.NoAnswer, job.RootOf(err)
	}
	defer func() { _ = resp.Body.Close() }() // read as far as it matters
	b, err := io.ReadAll(io.LimitReader(resp.Body, mostDetail))
	if err != nil {
		return resp.StatusCode, client.NoAnswer, job.RootOf(err)
	}
	var said struct{ Status string }
	if json.Unmarshal(b, &said) != nil || said.Status == "" {
		said.Status = resp.Status
	}
	return resp.StatusCode, said.Status, strings.TrimSpace(string(b))
}
