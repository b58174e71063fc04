package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"tapecast/bench/client"
	"tapecast/bench/hostile"
	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/scrape"
	"tapecast/bench/text"
)

// AbuseReport is what hostile clients did to the ordinary clients and to the gateway in one run.
type AbuseReport struct {
	Kind      string `json:"kind"`
	Hostile   int    `json:"hostile"`
	Addresses int    `json:"hostile_addresses"`
	Anonymous bool   `json:"anonymous,omitempty"`
	At        string `json:"at"` // gateway or sink

	Ping       job.Quantiles `json:"ping"` // of the ordinary clients, from due until the answer was read
	Pings      int64         `json:"pings"`
	Refused    int64         `json:"pings_refused"`
	Unanswered int64         `json:"pings_unanswered"`

	Newcomers       job.Quantiles    `json:"newcomers"` // from due to the gateway's first message
	NewcomersFailed map[string]int64 `json:"newcomers_failed,omitempty"`

	RSSBefore float64 `json:"gateway_rss_before"`
	RSSMost   float64 `json:"gateway_rss_most"`
	RSSAfter  float64 `json:"gateway_rss_after"`
	RSSGrowth float64 `json:"gateway_rss_growth"` // the most, minus the memory before

	Fared  hostile.Tally `json:"fared"`
	Frames float64       `json:"hostile_frames_per_s"`
	Bytes  float64       `json:"hostile_bytes_per_s"`
	Read   float64       `json:"hostile_read_per_s"`

	// Growth of the gateway's counters from just before the attack until after the run.
	// Counters that did not grow are left out.
	Limited map[string]float64 `json:"limited,omitempty"` // by limit
	Closed  map[string]float64 `json:"closed,omitempty"`  // by code, with ordinary clients that leave

	Health *HealthSeen `json:"health"`
}

// report returns the run's report. pings are the ordinary clients', after is the gateway at the end.
func (x *abuse) report(at string, seconds float64, pings *job.PingTally, after scrape.Metrics) *AbuseReport {
	c := x.cfg
	r := &AbuseReport{
		Kind: c.Kind, Hostile: c.Hostile, Addresses: c.Addresses, Anonymous: c.Anonymous, At: at,
		Newcomers: x.newcomers.latency.Quantiles(), NewcomersFailed: x.newcomers.failed,
		Fared: x.tally, Frames: float64(x.tally.Frames) / seconds,
		Bytes: float64(x.tally.Bytes) / seconds, Read: float64(x.tally.Read) / seconds,
		Limited: grownBy(x.before, after, "tapecast_limited_total", "limit"),
		Closed:  grownBy(x.before, after, "tapecast_closes_total", "code"),
		Health:  x.health,
	}
	if pings != nil {
		r.Ping = pings.Latency.Quantiles()
		r.Pings, r.Refused, r.Unanswered = pings.Sent, pings.Refused, pings.Unanswered
	}
	r.RSSBefore, r.RSSAfter = x.before[scrape.MetricRSS], after[scrape.MetricRSS]
	r.RSSMost = slices.Max(append(x.samples, scrape.MostRSS(x.before, after)))
	r.RSSGrowth = r.RSSMost - r.RSSBefore
	return r
}

// grownBy returns by how much each series of a counter grew, by the values of a label.
func grownBy(from, to scrape.Metrics, name, label string) map[string]float64 {
	out := map[string]float64{}
	for series, v := range to {
		rest, ok := strings.CutPrefix(series, name+"{"+label+`="`)
		if value, _, quoted := strings.Cut(rest, `"`); ok && quoted && v > from[series] {
			out[value] = v - from[series]
		}
	}
	return out
}

func (r *AbuseReport) rows() text.Rows {
	var out text.Rows
	token := ""
	if r.Anonymous {
		token = ", without token"
	}
	out.Add("hostile", "%s: %d at the %s, from %d address(es)%s", r.Kind, r.Hostile, r.At, r.Addresses, token)
	out.Add("  wrote", "%s/s, %s frames/s · read %s/s · %s answers, errors among them: %s",
		text.Size(r.Bytes), text.Count(int64(r.Frames)), text.Size(r.Read), text.Count(r.Fared.Answers),
		text.Counts(r.Fared.Errors))
	out.Add("  connections", "%s opened, %d there at the end · closed: %s · refused: %s",
		text.Count(r.Fared.Opened), r.Fared.Stayed, text.Counts(r.Fared.Closes), text.Counts(r.Fared.Refused))
	out.Add("pings", "%s", r.Ping)
	out.Add("", "%s sent · %s unanswered · %s refused", text.Count(r.Pings), text.Count(r.Unanswered),
		text.Count(r.Refused))
	out.Add("newcomers", "%s · not let in: %s", r.Newcomers, text.Counts(r.NewcomersFailed))
	out.Add("memory", "%s resident before, %s at most (%s), %s after",
		text.Size(r.RSSBefore), text.Size(r.RSSMost), text.Signed(r.RSSGrowth), text.Size(r.RSSAfter))
	out.Add("counted", "limits: %s · closes: %s", text.Counts(r.Limited), text.Counts(r.Closed))
	if h := r.Health; h != nil {
		out.Add("health", "%s · /livez: %s", text.Counts(h.Health), text.Counts(h.Livez))
		if h.Detail != "" {
			out.Add("  at worst", "%.400s", h.Detail)
		}
		if h.Dead != "" {
			out.Add("  not alive", "%.400s", h.Dead)
		}
	}
	return out
}

// AbuseVerdict compares the medians of an abuse's runs with the bars.
type AbuseVerdict struct {
	Medians map[string]AbuseMedians `json:"medians"` // by the runs' names
	Bars    []AbuseBar              `json:"bars"`
}

// AbuseMedians are the medians of several runs.
type AbuseMedians struct {
	Runs         int     `json:"runs"`
	PingP50      float64 `json:"ping_p50_ms"`
	PingP99      float64 `json:"ping_p99_ms"`
	PingMax      float64 `json:"ping_max_ms"`
	MessagesP99  float64 `json:"messages_p99_ms"`
	MessagesMax  float64 `json:"messages_max_ms"`
	NewcomersP99 float64 `json:"newcomers_p99_ms"`
	RSSGrowth    float64 `json:"gateway_rss_growth"`
	Cores        float64 `json:"gateway_cores"`
	Bytes        float64 `json:"hostile_bytes_per_s"`
}

// AbuseBar is one demand on a gateway, and whether the gateway meets it.
type AbuseBar struct {
	What string `json:"what"`
	Got  string `json:"got"`
	Bar  string `json:"bar"`
	Met  bool   `json:"met"`
}

// The demands on a gateway under attack.
const (
	mostAbusePing   = 50.0     // ms, p99 of the ordinary clients' pings and messages,
	mostAbuseTimes  = 3        // or so many times that of the pair's other run, whichever is more
	mostAbuseGrowth = 16 << 20 // bytes of resident memory
)

// judgeAbuse takes the medians and compares them with the bars; nil: no run is an abuse.
func judgeAbuse(runs []*Run) *AbuseVerdict {
	v := &AbuseVerdict{Medians: map[string]AbuseMedians{}}
	by := map[string][]*Run{}
	for _, g := range runs {
		if g.Abuse != nil {
			by[g.Name] = append(by[g.Name], g)
		}
	}
	for name, runs := range by {
		v.Medians[name] = abuseMedians(runs)
	}
	attacked, ok := v.Medians[runGateway]
	if !ok {
		return nil
	}
	pair := v.Medians[runSink]
	v.atMost("others' pings, p99", attacked.PingP99, pair.PingP99)
	v.atMost("others' messages, p99", attacked.MessagesP99, pair.MessagesP99)
	v.atMost("newcomers' first message, p99", attacked.NewcomersP99, pair.NewcomersP99)
	unanswered, uncounted := int64(0), 0
	for _, g := range by[runGateway] {
		unanswered += g.Abuse.Unanswered + g.Abuse.Refused
		if len(g.Abuse.Limited) == 0 {
			uncounted++
		}
	}
	v.Bars = append(v.Bars,
		AbuseBar{
			What: "resident memory", Got: text.Signed(attacked.RSSGrowth),
			Bar: "at most " + text.Signed(mostAbuseGrowth), Met: attacked.RSSGrowth <= mostAbuseGrowth,
		},
		AbuseBar{What: "unanswered pings", Got: text.Count(unanswered), Bar: "none", Met: unanswered == 0},
		AbuseBar{
			What: "a limit was counted", Got: fmt.Sprintf("in %d of %d runs", attacked.Runs-uncounted, attacked.Runs),
			Bar: "in each", Met: uncounted == 0,
		},
	)
	return v
}

func (v *AbuseVerdict) atMost(what string, got, pair float64) {
	bar := max(mostAbusePing, mostAbuseTimes*pair)
	v.Bars = append(v.Bars, AbuseBar{What: what, Got: job.MS(got), Bar: "at most " + job.MS(bar), Met: got <= bar})
}

func abuseMedians(runs []*Run) AbuseMedians {
	of := func(f func(*Run) float64) float64 { return text.MedianOf(runs, f) }
	return AbuseMedians{
		Runs:         len(runs),
		PingP50:      of(func(g *Run) float64 { return g.Abuse.Ping.P50 }),
		PingP99:      of(func(g *Run) float64 { return g.Abuse.Ping.P99 }),
		PingMax:      of(func(g *Run) float64 { return g.Abuse.Ping.Max }),
		MessagesP99:  of(func(g *Run) float64 { return g.Latency.P99 }),
		MessagesMax:  of(func(g *Run) float64 { return g.Latency.Max }),
		NewcomersP99: of(func(g *Run) float64 { return g.Abuse.Newcomers.P99 }),
		RSSGrowth:    of(func(g *Run) float64 { return g.Abuse.RSSGrowth }),
		Cores:        of(func(g *Run) float64 { return g.Cores }),
		Bytes:        of(func(g *Run) float64 { return g.Abuse.Bytes }),
	}
}

// rows returns the verdict in words: the medians, and whether each bar is met.
func (v *AbuseVerdict) rows() text.Rows {
	var out text.Rows
	for _, name := range slices.Sorted(maps.Keys(v.Medians)) {
		m := v.Medians[name]
		out.Add(name,
			"pings p50 %s p99 %s max %s · messages p99 %s · newcomers p99 %s · %s · %.2f cores · wrote %s/s (%d)",
			job.MS(m.PingP50), job.MS(m.PingP99), job.MS(m.PingMax), job.MS(m.MessagesP99), job.MS(m.NewcomersP99),
			text.Signed(m.RSSGrowth)+" resident", m.Cores, text.Size(m.Bytes), m.Runs)
	}
	if a, b := v.Medians[runGateway], v.Medians[runSink]; b.PingP99 > 0 && b.MessagesP99 > 0 {
		out.Add("ratio", "p99 of pings %.2f times that beside the sink · of messages %.2f times",
			a.PingP99/b.PingP99, a.MessagesP99/b.MessagesP99)
	}
	for _, b := range v.Bars {
		out.Add(map[bool]string{true: "met", false: "MISSED"}[b.Met], "%s: %s (%s)", b.What, b.Got, b.Bar)
	}
	return out
}

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
