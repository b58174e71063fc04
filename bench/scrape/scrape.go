package scrape

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
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

// PidPrefix before a number names a process, in place of the address of metrics.
const PidPrefix = "pid:"

// clockTick is the unit of the times in /proc/PID/stat. Linux gives user space 100 ticks a
// second, whatever the kernel's own clock is (proc_pid_stat(5)).
const clockTick = 0.01

// processMetrics reads the CPU time and memory of a process without /metrics of the known form.
func processMetrics(pid string) (Metrics, error) {
	if n, err := strconv.Atoi(pid); err != nil || n < 1 {
		return nil, job.Inputf("--admin %s%s does not name a process: give a number", PidPrefix, pid)
	}
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return nil, job.Inputf("cannot read process %s: %s (give a process that runs with --admin pid:N)", pid,
			job.RootOf(err))
	}
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return nil, job.Inputf("cannot read process %s: %s", pid, job.RootOf(err))
	}
	return parseProcess(stat, status)
}

// parseProcess takes the user and system time from a process's stat, and the resident
// memory from its status. The second field of stat is the process's name in parentheses,
// which may hold anything.
func parseProcess(stat, status []byte) (Metrics, error) {
	const utime, stime = 14 - 3, 15 - 3 // counted from the field behind the name
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(f) <= stime {
		return nil, fmt.Errorf("no times in a process's stat: %.80q", stat)
	}
	user, err1 := strconv.ParseUint(f[utime], 10, 64)
	system, err2 := strconv.ParseUint(f[stime], 10, 64)
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("the times in a process's stat are not numbers: %.80q", stat)
	}
	for line := range strings.Lines(string(status)) {
		rest, ok := strings.CutPrefix(line, "VmRSS:")
		if !ok {
			continue
		}
		kb, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("VmRSS in a process's status is not a number: %q", line)
		}
		return Metrics{MetricCPU: float64(user+system) * clockTick, MetricRSS: float64(kb) * 1024}, nil
	}
	return nil, fmt.Errorf("no VmRSS in a process's status: has the process ended?")
}

// Port is a gateway's internal port, with its credentials.
type Port struct {
	URL   string      // http://HOST:PORT or https; pid:N: a process without one
	Token string      // for requests that write, and for pprof; "": none
	TLS   *tls.Config // for https; nil: the system's certificates
}

// Client returns an HTTP client for the port. Each of its requests ends within the given time.
func (a Port) Client(within time.Duration) *http.Client {
	c := &http.Client{Timeout: within} // it uses the connections that all share
	if a.TLS != nil {
		c.Transport = &http.Transport{TLSClientConfig: a.TLS, IdleConnTimeout: 10 * time.Second}
	}
	return c
}

// Authorize adds the token to a request.
func (a Port) Authorize(h http.Header) {
	if a.Token != "" {
		h.Set("Authorization", "Bearer "+a.Token)
	}
}

// Dial connects, for a request that net/http does not write.
func (a Port) Dial(ctx context.Context) (net.Conn, *url.URL, error) {
	u, err := url.Parse(a.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, nil, job.Inputf("--admin %q is neither an http:// nor an https:// address", a.URL)
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	var conn net.Conn
	if u.Scheme == "https" {
		conn, err = (&tls.Dialer{Config: a.TLS}).DialContext(ctx, "tcp", host)
	} else {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", host)
	}
	if err != nil {
		return nil, nil, job.Inputf("cannot connect to the gateway's internal port %s: %s (give it with --admin)",
			host, job.RootOf(err))
	}
	return conn, u, nil
}

// Refusal returns the error for an answer with which the port refuses a request.
func (a Port) Refusal(resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // the status is enough without the body
	said := fmt.Sprintf("%s: %s", resp.Status, strings.TrimSpace(string(body)))
	if resp.StatusCode == http.StatusUnauthorized {
		return job.Inputf("the gateway's internal port wants another token: give --admin-token-file (%s)", said)
	}
	return job.Inputf("the gateway's internal port refuses: %s", said)
}
