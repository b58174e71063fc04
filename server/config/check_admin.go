package config

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
)

// hostName matches a name of admin.hosts.
var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?$`)

func (c *collector) checkAdmin(cfg *Config) {
	a := &cfg.Admin
	c.hostPort("admin.listen", a.Listen)
	if sameAddress(cfg.Server.Listen, a.Listen) {
		c.add("admin.listen", "is the same as server.listen", "give the internal port an address of its own")
	}
	if a.Probes != "" {
		c.hostPort("admin.probes", a.Probes)
		for key, addr := range map[string]string{"server.listen": cfg.Server.Listen, "admin.listen": a.Listen} {
			if sameAddress(addr, a.Probes) {
				c.add("admin.probes", "is the same as "+key, "give probes a port of their own, or remove the line")
			}
		}
	}
	for i, name := range a.Hosts {
		if !hostName.MatchString(name) {
			c.add(index("admin.hosts", i), fmt.Sprintf("%q is not a host name", name),
				"write whole names without port, such as tapecast.internal; there are no wildcards")
		}
	}
	c.checkPair("admin.tls", &a.TLS)
	if a.TokenFile != "" {
		if _, err := ReadAdminToken(a.TokenFile); err != nil {
			c.add("admin.token_file", "cannot take the token: "+err.Error(),
				"make one with: (umask 077; openssl rand -hex 32 > FILE)")
		}
	}
	if a.Write && a.TokenFile == "" {
		c.add("admin.write", "is set without a token, so that any client could write", "set admin.token_file too")
	}
	if a.Direct && !a.Write && !c.demo {
		c.add("admin.direct", "is set without admin.write",
			"set admin.write: true and admin.token_file, or remove the line")
	}
	c.checkReach(a)
}

// checkReach refuses what other machines must not reach without a token and TLS.
func (c *collector) checkReach(a *Admin) {
	if OnLoopback(a.Listen) || a.TokenFile != "" && a.TLS.CertFile != "" {
		return
	}
	for _, k := range []struct {
		key string
		on  bool
	}{{"admin.pprof", a.Pprof}, {"admin.direct", a.Direct}} {
		if k.on {
			c.add(k.key,
				fmt.Sprintf("is served on %s, which other machines may reach, without token and TLS", a.Listen),
				"set admin.token_file and admin.tls, or admin.listen to 127.0.0.1, or remove the line")
		}
	}
}

// Warnings returns what is odd about a configuration that can be run, in lines with key and remedy.
func (cfg *Config) Warnings() []string {
	out := slices.Clone(cfg.odd)
	a := &cfg.Admin
	if a.Write && a.TLS.CertFile == "" && !OnLoopback(a.Listen) {
		out = append(out, fmt.Sprintf("admin.write: the token crosses the network in the clear to %s; "+
			"set admin.tls, or admin.listen to 127.0.0.1", a.Listen))
	}
	out = append(out, cfg.openFiles()...)
	out = append(out, cfg.Auth.warnings()...)
	if text := cfg.Auth.unbound(); text != "" && !cfg.Demo() {
		out = append(out, text)
	}
	return append(out, cfg.routeWarnings()...)
}

// OnLoopback reports whether only this machine can reach the address.
func OnLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && onThisMachine(host)
}

// sameAddress reports whether only one of two addresses can be listened on. Any port 0 can.
func sameAddress(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return hostA == hostB || covers(hostA, hostB) || covers(hostB, hostA)
}

// covers reports whether a host stands for all addresses, or all of IPv4, including the other host.
func covers(host, other string) bool {
	ip, err := netip.ParseAddr(host)
	if host == "" || err != nil || !ip.IsUnspecified() {
		return host == ""
	}
	x, err := netip.ParseAddr(other)
	return err != nil || ip.Is6() || x.Unmap().Is4() || x.IsUnspecified()
}
