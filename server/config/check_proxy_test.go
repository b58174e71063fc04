package config

import (
	"fmt"
	"testing"
)

func TestCheckProxy(t *testing.T) {
	const do = "; write the balancers' own addresses or networks, such as 10.0.0.7 or 10.1.0.0/16"
	f := func(entry, want string) {
		t.Helper()
		faultsOf(t, fmt.Sprintf("server: {proxy: {trusted: [%q]}}", entry),
			"c.yaml:1: server.proxy.trusted[0]: "+want+do)
	}
	f("balancer", `"balancer" is not an address or network`)
	f("", `"" is not an address or network`)
	f("10.0.0.0/33", `"10.0.0.0/33" is not an address or network`)
	f("10.0.0.7:443", `"10.0.0.7:443" is not an address or network`)
	f("fe80::1%eth0", `"fe80::1%eth0" is not an address or network`)
	f("10.0.0.7/8", `"10.0.0.7/8" has bits beyond its length: the network is 10.0.0.0/8`)
	f("::ffff:10.0.0.0/104", `"::ffff:10.0.0.0/104" is an IPv4 network in IPv6 form, and would match nothing`)
	f("0.0.0.0/0", "it trusts every peer, so that any client could claim any address")
	f("::/0", "it trusts every peer, so that any client could claim any address")
	faultsOf(t, "server: {proxy: {trusted: [10.0.0.7, 10.0.0.7/32]}}",
		`c.yaml:1: server.proxy.trusted[1]: "10.0.0.7/32" is named twice; remove one`)
	faultsOf(t, "server: {proxy: {http: {trusted: [proxy-1], header: X-Real-IP}}}",
		`c.yaml:1: server.proxy.http.trusted[0]: "proxy-1" is not an address or network; write the proxies' own `+
			`addresses or networks, such as 10.0.0.7 or 10.1.0.0/16`,
		`c.yaml:1: server.proxy.http.header: "X-Real-IP" is unknown; use one of X-Forwarded-For, Forwarded`)
	faultsOf(t, "server: {proxy: {trust: [10.0.0.7]}}",
		"c.yaml:1: server.proxy.trust: unknown key; did you mean server.proxy.trusted?")

	cfg, err := load(t, `server: {proxy: {trusted: [10.0.0.7, 10.1.0.0/16, "2001:db8::/48", "::ffff:10.0.0.8"]}}`)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(cfg.Server.Proxy.Networks())
	if got != "[10.0.0.7/32 10.1.0.0/16 2001:db8::/48 10.0.0.8/32]" {
		t.Errorf("trusted: %s", got)
	}
	if got := Default().Server.Proxy.Networks(); got != nil {
		t.Errorf("by default %v are trusted", got)
	}
}
