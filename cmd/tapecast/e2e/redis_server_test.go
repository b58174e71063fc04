package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

const redisSecret = "a secret that all gateways have, of 32 bytes"

// redisServer is a real Redis. Gateways reach it through a proxy, as a user who may do little.
type redisServer struct {
	t    testing.TB
	addr string
	cmd  *exec.Cmd
	port []string // the options that open its port
	*toxic
	*redis.Client // an administrator, past the proxy
}

// startRedis starts one, or skips the test.
func startRedis(t testing.TB) *redisServer {
	t.Helper()
	return startRedisWith(t, nil, "--port")
}

// startRedisWith is startRedis with the options that open its port, whose number follows them. A nil trust
// means no TLS.
func startRedisWith(t testing.TB, trust *tls.Config, port ...string) *redisServer {
	t.Helper()
	if os.Getenv("TAPECAST_E2E_REDIS") == "" {
		t.Skip("make redis runs it")
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("there is no redis-server: make redis installs it")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &redisServer{t: t, addr: l.Addr().String(), port: port}
	l.Close()
	r.up()
	t.Cleanup(r.kill)
	r.toxic = poison(t, "redis", r.addr)
	r.Client = redis.NewClient(&redis.Options{Addr: r.addr, TLSConfig: trust})
	t.Cleanup(func() { r.Client.Close() })
	eventually(t, patience, "redis-server answers", func() bool { return r.do("ping") == nil })
	return r
}

// up starts the server, with nothing in it.
func (r *redisServer) up() {
	r.t.Helper()
	host, port, _ := net.SplitHostPort(r.addr)
	args := append(slices.Clone(r.port), port, "--bind", host, "--save", "", "--dir", r.t.TempDir(),
		"--user", "tapecast", "on", ">pass", "~tapecast:token:*", "+get", "+set")
	r.cmd = exec.Command("redis-server", args...)
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
}

// kill ends it at once.
func (r *redisServer) kill() {
	r.cmd.Process.Kill()
	r.cmd.Wait()
}

func (r *redisServer) do(args ...any) error { return r.Do(context.Background(), args...).Err() }

// must is do for what cannot fail.
func (r *redisServer) must(args ...any) {
	r.t.Helper()
	if err := r.do(args...); err != nil {
		r.t.Fatalf("%v: %v", args, err)
	}
}

// section is the part of a configuration that names it, and a service.
func (r *redisServer) section(a *accounts) string {
	return fmt.Sprintf("auth: {timeout: 7s, revocations: revoked, verify: {url: \"http://%s/me\"}, "+
		"redis: {address: %q, user: tapecast, password: pass, secret: %q}}\n", a.addr, r.toxic.addr(), redisSecret)
}

// health waits until a gateway says that its cache is well, or what is wrong with it.
func (r *redisServer) health(g *gateway, says string) {
	r.t.Helper()
	eventually(r.t, patience, "health says of Redis: "+says, func() bool {
		_, body := g.get("/health")
		return strings.Contains(body, `"detail":"auth.redis: `) == (says != "") && strings.Contains(body, says)
	})
}
