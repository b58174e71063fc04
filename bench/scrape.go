package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Metrics are the samples of one look at /metrics, by name and labels.
type Metrics map[string]float64

const (
	metricCPU        = "process_cpu_seconds_total"
	metricRSS        = "process_resident_memory_bytes"
	metricGoroutines = "go_goroutines"
	metricHeap       = "go_memstats_heap_inuse_bytes"
	metricAlloc      = "go_memstats_heap_alloc_bytes"
	metricStacks     = "go_memstats_stack_inuse_bytes"
)

// scraper reads a gateway's /metrics over one kept connection. Any goroutine
// may use it.
type scraper struct {
	url    string
	client *http.Client
	pid    string // "": by /metrics
	flag   string // that says where
}

func newScraper(admin adminPort) *scraper {
	if pid, ok := strings.CutPrefix(admin.url, pidPrefix); ok {
		return &scraper{pid: pid}
	}
	return &scraper{flag: "--admin", url: admin.url + "/metrics", client: admin.client(10 * time.Second)}
}

func (s *scraper) scrape(ctx context.Context) (Metrics, error) {
	if s.pid != "" {
		return processMetrics(s.pid)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, inputf("%s: %v", s.flag, err)
	}
	req.Header.Set("Accept", "text/plain")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, inputf("cannot read the gateway's metrics at %s: %s (give its internal port with %s)", s.url, rootOf(err), s.flag)
	}
	defer func() { _ = resp.Body.Close() }() // read to its end
	if resp.StatusCode != http.StatusOK {
		return nil, inputf("cannot read the gateway's metrics: %s answers %s", s.url, resp.Status)
	}
	m, err := parseMetrics(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", s.url, err)
	}
	for _, name := range []string{metricCPU, metricRSS} {
		if _, ok := m[name]; !ok {
			return nil, inputf("%s has no %s: is it the gateway's internal port?", s.url, name)
		}
	}
	return m, nil
}

// midRun is scrape where the gateway was there before: that it no longer is
// isn't a fault of what was asked for.
func (s *scraper) midRun(ctx context.Context) (Metrics, error) {
	m, err := s.scrape(ctx)
	if err != nil {
		return nil, fmt.Errorf("the run broke off: %v", err) // %v: no InputError any more
	}
	return m, nil
}

// parseMetrics reads Prometheus' text format.
func parseMetrics(r io.Reader) (Metrics, error) {
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
			return nil, fmt.Errorf("a line without value: %.80q", line)
		}
		name, rest := line[:end+at], strings.Fields(line[end+at:])
		if len(rest) == 0 {
			return nil, fmt.Errorf("a line without value: %.80q", line)
		}
		v, err := strconv.ParseFloat(rest[0], 64)
		if err != nil {
			return nil, fmt.Errorf("a value that is no number: %.80q", line)
		}
		m[name] = v
	}
	return m, lines.Err()
}

// sum adds all series of a metric, whatever their labels.
func (m Metrics) sum(name string) float64 {
	var v float64
	for k, x := range m {
		if k == name || strings.HasPrefix(k, name) && k[len(name)] == '{' {
			v += x
		}
	}
	return v
}

// grown is by how much counters grew, labels added up.
func grown(from, to Metrics) map[string]float64 {
	out := map[string]float64{}
	for name, v := range to {
		if base, _, _ := strings.Cut(name, "{"); strings.HasSuffix(base, "_total") {
			out[base] += v - from[name]
		}
	}
	return out
}

// rootOf shortens what net/http says to its cause.
func rootOf(err error) string {
	var e syscall.Errno
	var u *url.Error
	var dns *net.DNSError
	switch {
	case errors.As(err, &e):
		return e.Error()
	case errors.As(err, &dns):
		return dns.Error()
	case errors.As(err, &u):
		return u.Err.Error()
	}
	return err.Error()
}
