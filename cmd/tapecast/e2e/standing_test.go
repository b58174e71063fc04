package e2e

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"tapecast/rooms/testwait"
)

// standingConfig returns the configuration of a gateway that can be made to stand.
func standingConfig(t *testing.T) (yaml, token string) {
	t.Helper()
	token = strings.Repeat("stand-still.", 4)
	file := filepath.Join(t.TempDir(), "admin.token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return config(nil,
		fmt.Sprintf("admin: {listen: \"127.0.0.1:0\", direct: true, write: true, token_file: %q}\n", file)), token
}

// stand makes the first goroutine of a kind stand.
func (g *gateway) stand(token, who string, d time.Duration) int {
	g.t.Helper()
	req, err := http.NewRequest("POST", fmt.Sprintf("http://%s/debug/stand?who=%s&for=%s", g.admin, who, d), nil)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := admin.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// suspend stops the whole process for that long.
func (g *gateway) suspend(d time.Duration) {
	g.t.Helper()
	// The test is of the gap in its clocks: nothing in it runs and tells of it.
	g.freeze(func() { testwait.Pause(d) })
}

// freeze stops the whole process while f runs.
func (g *gateway) freeze(f func()) {
	g.t.Helper()
	if err := g.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		g.t.Fatal(err)
	}
	f()
	if err := g.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		g.t.Fatal(err)
	}
}

// TestStandingIsNamed: each kind of goroutine with a heartbeat is named by /health within two
// seconds when it stands, and fails /livez within twelve. Both come back. Neither waits for a
// goroutine that stands, nor do requests that ask all of them.
func TestStandingIsNamed(t *testing.T) {
	besideOthers(t)
	yaml, token := standingConfig(t)
	for _, pair := range [][2]string{{"loop", "recaller"}, {"poller", "tls"}, {"appender", "times"},
		{"reader", "acceptor"}} {
		who := pair[0]
		t.Run(who+" and "+pair[1], func(t *testing.T) {
			besideOthers(t)
			g := start(t, yaml)
			const stands = 16 * time.Second
			quick := func(path string) (int, string) {
				t.Helper()
				begun := time.Now()
				status, body := g.get(path)
				if took := time.Since(begun); took > stands/2 { // it would have waited for those that stand
					t.Errorf("%s took %s", path, took)
				}
				return status, body
			}
			for _, who := range pair {
				if code := g.stand(token, who, stands); code != 200 {
					t.Fatalf("/debug/stand: %d", code)
				}
			}
			begun := time.Now()
			names := map[string]string{"tls": "TLS worker", "times": "time look-up"}
			named := func(body string) bool {
				for _, who := range pair {
					stands := regexp.MustCompile(cmp.Or(names[who], who) + "( \\d+)? has stood still for ")
					if !stands.MatchString(body) {
						return false
					}
				}
				return true
			}
			eventually(t, patience, "/health names it", func() bool {
				status, body := quick("/health")
				return status == 200 && strings.Contains(body, `"status":"degraded"`) && named(body)
			})
			t.Logf("named after %s", time.Since(begun).Round(10*time.Millisecond))
			standing := regexp.MustCompile(`\ntapecast_standing ([2-9]|\d\d)\n`) // others may on a busy machine
			eventually(t, patience, "/metrics counts it", func() bool {
				status, body := quick("/metrics")
				return status == 200 && standing.MatchString(body)
			})
			status, body := quick("/connections")
			if asked := who == "loop" || who == "appender"; status != 200 || strings.Contains(body, who+" 0") != asked {
				t.Errorf("/connections: %d %s", status, body)
			}
			if status, body := quick("/livez"); status != 200 && time.Since(begun) < 9*time.Second {
				t.Errorf("/livez after %s: %d %s", time.Since(begun), status, body)
			}
			dead := "" // one may come back before the other is dead
			eventually(t, patience, "/livez fails", func() bool {
				if status, body := quick("/livez"); status == 503 {
					dead += body
				}
				return named(dead)
			})
			t.Logf("not alive after %s", time.Since(begun).Round(10*time.Millisecond))
			eventually(t, patience, "both come back", func() bool {
				alive, _ := quick("/livez")
				_, body := quick("/health")
				return alive == 200 && strings.Contains(body, `{"status":"healthy"`)
			})
			join(t, g, "42").call("ping", nil)
		})
	}
}

// TestStoppedProcessIsWell: a process that was stopped for longer than /livez allows, and goes on,
// is alive and healthy.
func TestStoppedProcessIsWell(t *testing.T) {
	besideOthers(t)
	yaml, _ := standingConfig(t)
	g := start(t, yaml)
	c := join(t, g, "42")
	g.suspend(12 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); <-tick.C {
		if status, body := g.get("/livez"); status != 200 {
			t.Fatalf("/livez: %d %s", status, body)
		}
		if _, body := g.get("/health"); strings.Contains(body, "has stood still for") {
			t.Fatalf("/health: %s", body)
		}
	}
	c.call("ping", nil)
}

// TestStandIsGuarded: without admin.direct nothing can be made to stand. With it, only a client
// with the token can do so, for a minute at most.
func TestStandIsGuarded(t *testing.T) {
	g := start(t, config(nil, ""))
	if code := g.stand("x", "loop", time.Second); code != 404 {
		t.Errorf("without admin.direct: %d", code)
	}
	yaml, token := standingConfig(t)
	g = start(t, yaml)
	if code := g.stand("x", "loop", time.Second); code != 401 && code != 403 {
		t.Errorf("without the token: %d", code)
	}
	if code := g.stand(token, "loop", time.Hour); code != 400 {
		t.Errorf("for an hour: %d", code)
	}
}
