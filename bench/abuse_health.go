package bench

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"tapecast/bench/client"
	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/scrape"
)

// HealthSeen is what a gateway's health endpoints answered, once a second.
type HealthSeen struct {
	Looks  int            `json:"looks"`
	Health map[string]int `json:"health"` // answers of /health, by status
	Livez  map[string]int `json:"livez"`
	Worst  string         `json:"worst"`            // of /health: healthy, degraded, unhealthy, or no answer
	Detail string         `json:"detail,omitempty"` // the answer when that status first came; "": healthy
	Dead   string         `json:"dead,omitempty"`   // the answer when /livez first failed; "": it did not
}

// healthOrder lists statuses from the best to the worst. The last is the missing answer.
var healthOrder = []string{"", "healthy", "degraded", "unhealthy", client.NoAnswer}

// healthEvery is the time between two requests. A request may take healthPatience.
const (
	healthEvery    = time.Second
	healthPatience = 3 * time.Second
)

// watchHealth asks /health and /livez until a given time (CLOCK_MONOTONIC).
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
	if k := slices.Index(healthOrder, status); k >= 0 {
		return k
	}
	return len(healthOrder)
}

// mostDetail bounds how much of an answer is kept.
const mostDetail = 2000

// getStatus returns the answer's code, the status in its JSON, and its text.
func getStatus(ctx context.Context, cl *http.Client, url string) (code int, status, text string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, client.NoAnswer, err.Error()
	}
	resp, err := cl.Do(req)
	if err != nil {
		return 0, client.NoAnswer, job.RootOf(err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read as far as needed
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
