package scrape

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tapecast/bench/job"
)

// Metrics are the samples of one reading of /metrics, by name and labels.
type Metrics map[string]float64

const (
	MetricCPU        = "process_cpu_seconds_total"
	MetricRSS        = "process_resident_memory_bytes"
	MetricGoroutines = "go_goroutines"
	MetricHeap       = "go_memstats_heap_inuse_bytes"
	MetricAlloc      = "go_memstats_heap_alloc_bytes"
)

// Scraper reads a gateway's /metrics, or a process's /proc.
type Scraper struct {
	url    string
	client *http.Client
	pid    string // "": it reads /metrics
	Flag   string // the flag that names the port, for errors
}

// New returns a Scraper.
func New(admin Port) *Scraper {
	if pid, ok := strings.CutPrefix(admin.URL, PidPrefix); ok {
		return &Scraper{pid: pid}
	}
	return &Scraper{Flag: "--admin", url: admin.URL + "/metrics", client: admin.Client(10 * time.Second)}
}

// Scrape reads the metrics once.
func (s *Scraper) Scrape(ctx context.Context) (Metrics, error) {
	if s.pid != "" {
		return processMetrics(s.pid)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, job.Inputf("%s: %v", s.Flag, err)
	}
	req.Header.Set("Accept", "text/plain")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, job.Inputf("cannot read the gateway's metrics at %s: %s (give its internal port with %s)", s.url,
			job.RootOf(err), s.Flag)
	}
	defer func() { _ = resp.Body.Close() }() // it was read to its end
	if resp.StatusCode != http.StatusOK {
		return nil, job.Inputf("cannot read the gateway's metrics: %s answered %s", s.url, resp.Status)
	}
	m, err := ParseMetrics(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", s.url, err)
	}
	for _, name := range []string{MetricCPU, MetricRSS} {
		if _, ok := m[name]; !ok {
			return nil, job.Inputf("%s has no %s: is it the gateway's internal port?", s.url, name)
		}
	}
	return m, nil
}

// MidRun is Scrape for a gateway that answered before. A failure is not an InputError.
func (s *Scraper) MidRun(ctx context.Context) (Metrics, error) {
	m, err := s.Scrape(ctx)
	if err != nil {
		return nil, fmt.Errorf("the run broke off: %v", err) // %v drops the InputError
	}
	return m, nil
}

// ParseMetrics parses Prometheus' text format.
func ParseMetrics(r io.Reader) (Metrics, error) {
	m := Metrics{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		end := strings.LastIndexByte(line, '}') + 1 // labels may hold spaces
		at := strings.IndexByte(line[end:], ' ')
		if at < 0 {
			return nil, fmt.Errorf("a line without a value: %.80q", line)
		}
		v, err := strconv.ParseFloat(strings.Fields(line[end+at:])[0], 64) // a time may follow
		if err != nil {
			return nil, fmt.Errorf("a value that is not a number: %.80q", line)
		}
		m[line[:end+at]] = v
	}
	return m, lines.Err()
}

// Sum adds up all series of a metric.
func (m Metrics) Sum(name string) float64 {
	var v float64
	for k, x := range m {
		if k == name || strings.HasPrefix(k, name) && k[len(name)] == '{' {
			v += x
		}
	}
	return v
}

// MostRSS returns the most resident memory between two readings, as far as they show it.
func MostRSS(from, to Metrics) float64 {
	most := max(from[MetricRSS], to[MetricRSS])
	if to[MetricPeak] > from[MetricPeak] { // a peak between the two
		most = max(most, to[MetricPeak])
	}
	return most
}

// Grown returns by how much counters grew, with their labels added up.
func Grown(from, to Metrics) map[string]float64 {
	out := map[string]float64{}
	for name, v := range to {
		if base, _, _ := strings.Cut(name, "{"); strings.HasSuffix(base, "_total") {
			out[base] += v - from[name]
		}
	}
	return out
}

// Names of further metrics.
const (
	MetricPeak    = "process_resident_memory_peak_bytes" // the most that the process ever had
	MetricSends   = "tapecast_sends_total"
	MetricFrames  = "tapecast_messages_sent_total"
	MetricRecords = "tapecast_appended_total"
	MetricPassing = "tapecast_pass_seconds_total"
	MetricBusy    = "tapecast_loop_busy_seconds_total"
	MetricTapes   = "tapecast_tape_bytes"
	MetricLoops   = "tapecast_loops"
)
