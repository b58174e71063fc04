package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// parseNetwork reads a network. An address stands for the network of that address alone.
func parseNetwork(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is not an address or network", s)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is not an address or network", s)
	case p.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%q is an IPv4 network in IPv6 form, and would match nothing", s)
	case p.Masked() != p:
		return netip.Prefix{}, fmt.Errorf("%q has bits beyond its length: the network is %s", s, p.Masked())
	case p.Bits() == 0:
		return netip.Prefix{}, errors.New("it trusts every peer, so that any client could claim any address")
	}
	return p, nil
}

// Networks returns the networks of balancers that send PROXY protocol headers. check has accepted
// them.
func (cfg *Proxy) Networks() []netip.Prefix { return networks(cfg.Trusted) }

// Networks returns the networks of proxies that speak HTTP. check has accepted them.
func (cfg *ProxyHTTP) Networks() []netip.Prefix { return networks(cfg.Trusted) }

func networks(list []string) []netip.Prefix {
	var all []netip.Prefix
	for _, s := range list {
		if p, err := parseNetwork(s); err == nil {
			all = append(all, p)
		}
	}
	return all
}

func (c *collector) checkProxy(cfg *Proxy) {
	c.checkNetworks("server.proxy.trusted", cfg.Trusted,
		"write the balancers' own addresses or networks, such as 10.0.0.7 or 10.1.0.0/16")
	c.checkNetworks("server.proxy.http.trusted", cfg.HTTP.Trusted,
		"write the proxies' own addresses or networks, such as 10.0.0.7 or 10.1.0.0/16")
	c.oneOf("server.proxy.http.header", cfg.HTTP.Header, "X-Forwarded-For", "Forwarded")
}

func (c *collector) checkNetworks(key string, list []string, do string) {
	seen := map[netip.Prefix]bool{}
	for i, s := range list {
		path := index(key, i)
		p, err := parseNetwork(s)
		switch {
		case err != nil:
			c.add(path, err.Error(), "%s", do)
		case seen[p]:
			c.add(path, fmt.Sprintf("%q is named twice", s), "remove one")
		}
		seen[p] = true
	}
}
