package bench

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/pool"
	"tapecast/bench/publish"
	"tapecast/bench/scrape"
)

// Target is the server that is measured, and how to connect and publish to it.
type Target struct {
	job.Speech // what clients speak with it

	URL string // ws://HOST:PORT/ws, or wss:
	CA  string // file of the certificates to trust for wss. "": the system's
	// Admin is the internal port, http://HOST:PORT or https. "": port 8081 of the same host.
	// pid:N: a process without /metrics.
	Admin      string
	AdminToken string     // token of the internal port, for Direct and pprof. "": none
	AdminCA    string     // file of the certificates to trust there for https. "": CA, or the system's
	Keys       job.Keys   // for the clients' tokens
	Sources    []string   // addresses to connect from. nil: 127.0.0.2 to 127.0.0.9 for a gateway on loopback
	Agents     job.Agents // machines that the clients run on. Empty: this one
	Direct     bool       // publish through the gateway's append endpoint
	Brokers    []string   // or to Kafka
	Topic      string
	Publish    string // or to another server's own port: nats://HOST:PORT, or http://HOST:PORT/api of a Centrifugo
	APIKey     string // of the Centrifugo

	Warn io.Writer // for warnings, also without progress. nil: none

	demo bool // Brokers are the demo's, see FromDemo
}

// Endpoint is a target with its address.
type Endpoint struct {
	job.Endpoint
	Admin scrape.Port
}

// Resolve checks a target and finds its address.
func (t *Target) Resolve(ctx context.Context) (Endpoint, error) {
	u, err := url.Parse(t.URL)
	if err != nil || u.Host == "" || u.Scheme != "ws" && u.Scheme != "wss" {
		return Endpoint{}, job.Inputf("--target %q is not ws://HOST:PORT/PATH or wss://", t.URL)
	}
	var e Endpoint
	e.Host, e.Path, e.TLS, e.CA, e.Sources = u.Host, u.RequestURI(), u.Scheme == "wss", t.CA, t.Sources
	if u.Path == "" {
		e.Path = "/ws"
		if u.RawQuery != "" {
			e.Path += "?" + u.RawQuery
		}
	}
	port := u.Port()
	if port == "" {
		port = map[bool]string{false: "80", true: "443"}[e.TLS]
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil || len(ips) == 0 {
		return Endpoint{}, job.Inputf("cannot find --target host %q: %s", u.Hostname(), job.RootOf(err))
	}
	first := max(0, slices.IndexFunc(ips, func(a netip.Addr) bool { return a.Unmap().Is4() }))
	ip := ips[first].Unmap()
	e.Addr = net.JoinHostPort(ip.String(), port)
	if e.Admin, err = t.adminOf(u.Hostname()); err != nil {
		return Endpoint{}, err
	}
	if e.Sources == nil && ip.IsLoopback() && ip.Is4() {
		e.Sources, err = ParseSources("127.0.0.2-127.0.0.9") // each has 28,000 ports of its own
	}
	return e, err
}

// adminOf returns the internal port of a target whose public port is at host.
func (t *Target) adminOf(host string) (scrape.Port, error) {
	a := scrape.Port{URL: strings.TrimSuffix(t.Admin, "/"), Token: t.AdminToken}
	if a.URL == "" {
		a.URL = "http://" + net.JoinHostPort(host, "8081")
	}
	ca, flag := t.AdminCA, "--admin-ca"
	if ca == "" {
		ca, flag = t.CA, "--ca"
	}
	if ca == "" || !strings.HasPrefix(a.URL, "https:") {
		return a, nil
	}
	pool, err := job.CertPool(flag, ca)
	a.TLS = &tls.Config{RootCAs: pool}
	return a, err
}

// Ready resolves a target, and checks that its metrics can be read and messages published.
func (t *Target) Ready(ctx context.Context) (Endpoint, error) {
	e, err := t.Resolve(ctx)
	if err != nil {
		return e, err
	}
	if _, err := scrape.New(e.Admin).Scrape(ctx); err != nil {
		return e, err
	}
	return e, t.checkPublishing(ctx, e)
}

// ParseSources parses addresses and ranges: "127.0.0.2-127.0.0.9,10.0.0.1".
func ParseSources(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		a, err := netip.ParseAddr(from)
		if err != nil {
			return nil, job.Inputf("--sources: %q is not an IP address", from)
		}
		z := a
		if isRange {
			if z, err = netip.ParseAddr(to); err != nil || z.BitLen() != a.BitLen() || z.Less(a) {
				return nil, job.Inputf("--sources: %q is not a range of IP addresses", part)
			}
		}
		for ; !z.Less(a); a = a.Next() {
			if len(out) == 1024 {
				return nil, job.Inputf("--sources: more than 1,024 addresses")
			}
			out = append(out, a.String())
		}
	}
	return out, nil
}

// checkPublishing returns an error unless there is exactly one way to publish, and it works.
func (t *Target) checkPublishing(ctx context.Context, e Endpoint) error {
	ways := 0
	for _, given := range []bool{t.Direct, len(t.Brokers) > 0, t.Publish != ""} {
		if given {
			ways++
		}
	}
	switch {
	case ways > 1:
		return job.Inputf("more than one of --direct, --brokers and --publish is given: keep one")
	case t.Publish != "" || t.Direct:
		return t.opens(ctx, e)
	case len(t.Brokers) > 0 && t.Topic == "":
		return job.Inputf("the topic that feeds the room is missing: give --topic")
	case len(t.Brokers) == 0:
		return job.Inputf("the way to publish is missing: give --brokers and --topic, or --direct if the gateway " +
			"was started with --direct, or --publish for another server; the demo of `tapecast run` on this machine " +
			"needs none, and observe measures the traffic that a gateway has")
	}
	t.WarnCompacted(ctx, t.Topic)
	return nil
}

// opens returns an error unless the way to publish can be opened.
func (t *Target) opens(ctx context.Context, e Endpoint) error {
	s, err := t.sink(ctx, e, "")
	if err == nil {
		_, err = s.Close(ctx)
	}
	return err
}

// sink opens the way to publish. The topic is for Kafka.
func (t *Target) sink(ctx context.Context, e Endpoint, topic string) (publish.Sink, error) {
	switch {
	case t.Direct:
		return publish.NewDirect(ctx, e.Admin)
	case strings.HasPrefix(t.Publish, "nats://"):
		return publish.NewNATS(ctx, t.Publish)
	case t.Publish != "":
		return publish.NewCentrifugo(ctx, t.Publish, t.APIKey)
	}
	return publish.NewKafka(t.Brokers, topic)
}

// WarnCompacted warns of compacted topics before anything is written to them: the last
// message of each key stays there. If the broker does not answer, nothing is said.
func (t *Target) WarnCompacted(ctx context.Context, topics ...string) {
	if t.Warn == nil || len(t.Brokers) == 0 {
		return
	}
	for _, topic := range publish.CompactedOf(ctx, t.Brokers, topics) {
		_, _ = fmt.Fprintf(t.Warn,
			"warning: topic %q is compacted: the last message of each key of this run stays in it, "+
				"and new clients will get it; use a topic of its own\n", topic)
	}
}

// CheckDescriptors returns an error if the processes here cannot hold so many clients. Agents check too.
func (t *Target) CheckDescriptors(clients, procs int) error {
	if len(t.Agents.Addrs) > 0 {
		return nil
	}
	return machine.CheckDescriptors(clients, procs)
}

// CheckOneProcess is CheckDescriptors for clients of one process. Its error names their flag.
func (t *Target) CheckOneProcess(flag string, clients int) error {
	switch most := machine.DescriptorLimit() - machine.SpareDescriptors; {
	case len(t.Agents.Addrs) > 0: // agents check their own limits
	case clients > most:
		return job.Inputf("%s %d: one process holds them, and has descriptors for %d: ask for fewer, or raise the "+
			"limit (ulimit -Hn)", flag, clients, most)
	}
	return nil
}

// Job returns the target's part of a job: where clients connect, what they speak, their keys.
func (t *Target) Job(e Endpoint) job.Job {
	return job.Job{Endpoint: e.Endpoint, Keys: t.Keys, Agents: t.Agents, Speech: t.Speech}
}

// Join connects the first clients of w, or all of them. A failure to join is an InputError.
func Join(ctx context.Context, w *pool.Workers, clients int) (job.Status, error) {
	status, err := w.Connect(clients)
	if ctx.Err() != nil {
		err = ctx.Err()
	} else if err != nil {
		err = job.Inputf("%v", err)
	}
	return status, err
}
