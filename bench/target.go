package bench

import (
	"context"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// Target is the server under test, and how to get in and publish.
type Target struct {
	Speech // what clients speak with it

	URL string // ws://HOST:PORT/ws, or wss:
	CA  string // wss: file of the certificates to trust. "": the system's
	// Admin is http://HOST:PORT or https of the internal port. "": port 8081 of the same
	// host. pid:N: a process without /metrics.
	Admin      string
	AdminToken string   // that the internal port wants for Direct and for pprof. "": none
	AdminCA    string   // https: file of the certificates to trust there. "": CA, or the system's
	Keys       Keys     // for the clients' tokens
	Sources    []string // addresses to connect from. nil: 127.0.0.2 to 127.0.0.9 for a gateway on loopback
	Agents     Agents   // machines that the clients run on. Empty: this one
	Direct     bool     // publish through the gateway's append endpoint
	Brokers    []string // or to Kafka
	Topic      string
	Publish    string // or to another server's own port: nats://HOST:PORT, or http://HOST:PORT/api of a Centrifugo
	APIKey     string // of the Centrifugo

	Warn io.Writer // what is to be said whether or not progress is. nil: nothing

	demo bool // Brokers are the demo's, see FromDemo
}

// endpoint is a target, resolved.
type endpoint struct {
	addr, host, path string
	tls              bool
	admin            adminPort
	sources          []string
}

// resolve checks a target and finds its address.
func (t *Target) resolve(ctx context.Context) (endpoint, error) {
	u, err := url.Parse(t.URL)
	if err != nil || u.Host == "" || u.Scheme != "ws" && u.Scheme != "wss" {
		return endpoint{}, inputf("--target %q is no ws://HOST:PORT/PATH, nor wss://", t.URL)
	}
	e := endpoint{host: u.Host, path: u.RequestURI(), tls: u.Scheme == "wss", sources: t.Sources}
	if u.Path == "" {
		e.path = "/ws"
		if u.RawQuery != "" {
			e.path += "?" + u.RawQuery
		}
	}
	port := u.Port()
	if port == "" {
		port = map[bool]string{false: "80", true: "443"}[e.tls]
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil || len(ips) == 0 {
		return endpoint{}, inputf("cannot find --target host %q: %s", u.Hostname(), rootOf(err))
	}
	ip := ips[0].Unmap()
	for _, a := range ips {
		if a.Unmap().Is4() {
			ip = a.Unmap()
			break
		}
	}
	e.addr = net.JoinHostPort(ip.String(), port)
	if e.admin, err = t.adminOf(u.Hostname()); err != nil {
		return endpoint{}, err
	}
	if e.sources == nil && ip.IsLoopback() && ip.Is4() {
		e.sources = loopbackSources()
	}
	return e, nil
}

// ready resolves a target that is to be measured, and finds out whether its metrics
// can be read and messages published.
func (t *Target) ready(ctx context.Context) (endpoint, error) {
	e, err := t.resolve(ctx)
	if err != nil {
		return e, err
	}
	if _, err := newScraper(e.admin).scrape(ctx); err != nil {
		return e, err
	}
	return e, t.checkPublishing(ctx, e)
}

// loopbackSources are eight addresses, each with 28,000 ports of its own.
func loopbackSources() []string {
	s, err := ParseSources("127.0.0.2-127.0.0.9")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return s
}

// ParseSources reads addresses and ranges of them: "127.0.0.2-127.0.0.9,10.0.0.1".
func ParseSources(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		a, err := netip.ParseAddr(from)
		if err != nil {
			return nil, inputf("--sources: %q is no IP address", from)
		}
		z := a
		if isRange {
			if z, err = netip.ParseAddr(to); err != nil || z.BitLen() != a.BitLen() || z.Less(a) {
				return nil, inputf("--sources: %q is no range of IP addresses", part)
			}
		}
		for ; !z.Less(a); a = a.Next() {
			if len(out) == 1024 {
				return nil, inputf("--sources: more than 1,024 addresses")
			}
			out = append(out, a.String())
		}
	}
	return out, nil
}

// checkPublishing says whether there is exactly one way to publish, and tries it.
func (t *Target) checkPublishing(ctx context.Context, e endpoint) error {
	ways := 0
	for _, given := range []bool{t.Direct, len(t.Brokers) > 0, t.Publish != ""} {
		if given {
			ways++
		}
	}
	switch {
	case ways > 1:
		return inputf("more than one of --direct, --brokers and --publish is given: keep one")
	case t.Publish != "":
		s, err := t.sink(ctx, e, "")
		if err == nil {
			_, err = s.close(ctx)
		}
		return err
	case t.Direct:
		return checkDirect(ctx, e.admin)
	case len(t.Brokers) > 0 && t.Topic == "":
		return inputf("nothing says which topic feeds the room: give --topic")
	case len(t.Brokers) == 0:
		return inputf("nothing says how to publish: give --brokers and --topic, or --direct where the gateway " +
			"has run --direct, or --publish for another server; the demo of `tapecast run` on this machine " +
			"needs none, and observe measures the traffic that there is")
	}
	t.warnCompacted(ctx, t.Topic)
	return nil
}

// sink opens the way to publish; topic is for Kafka.
func (t *Target) sink(ctx context.Context, e endpoint, topic string) (sink, error) {
	switch {
	case t.Direct:
		return newDirectSink(ctx, e.admin)
	case strings.HasPrefix(t.Publish, "nats://"):
		return newNATSSink(ctx, t.Publish)
	case t.Publish != "":
		return newCentrifugoSink(ctx, t.Publish, t.APIKey)
	}
	return newKafkaSink(t.Brokers, topic)
}
