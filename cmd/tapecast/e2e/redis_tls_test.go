package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestRedisTLS: nodes share by TLS with a Redis whose certificate they trust, and with no other. SIGHUP reads
// the file again that says which.
func TestRedisTLS(t *testing.T) {
	certFile, keyFile, trust := certificate(t)
	r := startRedisWith(t, trust, "--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file",
		certFile, "--tls-auth-clients", "no", "--port", "0", "--tls-port")
	read := func(file string) []byte {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	others, _, _ := certificate(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	trusts := func(of string) {
		if err := os.WriteFile(file, read(of), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trusts(certFile)
	a, k := newAccounts(t), fakeCluster(t)
	for _, topic := range []string{"trades", "orders", "revoked"} {
		k.topic(t, topic, 1)
	}
	secure := fmt.Sprintf("redis: {tls: true, ca_file: %q, ", file)
	yaml := config(k, strings.Replace(r.section(a), "redis: {", secure, 1)+authConfig)
	var nodes [2]*gateway
	for i := range nodes {
		nodes[i] = start(t, yaml)
		r.health(nodes[i], "")
	}
	f := func(g *gateway, token string, calls int64) {
		t.Helper()
		before := a.calls.Load()
		if code := comes(t, g, token); code != 0 || a.calls.Load()-before != calls {
			t.Errorf("%s: closed with %d after %d calls, want %d", token, code, a.calls.Load()-before, calls)
		}
	}
	f(nodes[0], "user-1", 1)
	eventually(t, patience, "it is stored", func() bool { return nodes[0].metric("tapecast_redis_stored_total") == 1 })
	f(nodes[1], "user-1", 0)

	trusts(others)
	nodes[1].cmd.Process.Signal(syscall.SIGHUP)
	r.health(nodes[1], "certificate signed by unknown authority")
	f(nodes[1], "user-2", 1)
	trusts(certFile)
	nodes[1].cmd.Process.Signal(syscall.SIGHUP)
	r.health(nodes[1], "")
	eventually(t, patience, "it stores again", func() bool {
		f(nodes[1], fmt.Sprint("user-", 3+a.calls.Load()), 1)
		return nodes[1].metric("tapecast_redis_stored_total") > 0
	})
}
