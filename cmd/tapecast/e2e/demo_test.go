package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDemo does what a new user does: run with no configuration, take the token and the command
// that it prints, watch. Every one of a demo user's seven rooms carries something within 15
// seconds, and Ctrl-C ends it.
func TestDemo(t *testing.T) {
	began := time.Now()
	// A drain of 4 s, not 20: clients are closed over all of it.
	g, home := demo(t, []string{"TAPECAST_SERVER_DRAIN=4s"}, "--log-level", "debug")
	t.Logf("ready after %s", time.Since(began).Round(time.Millisecond))
	token := g.printed(t)
	a := dial(t, g, dialing{query: "?token=" + token})
	b := dial(t, g, dialing{subprotocols: []string{"tapecast.v1", "bearer." + token}})
	demoRooms(t, a, b)
	operatorsSurface(t, g, 2)

	// An alert by hand.
	g.publish("events", "", []byte(`{"metadata":{"eventType":"system.maintenance"},"data":{"text":"by hand"}}`))
	a.await("the alert", func() bool {
		frames := a.rooms["system_alerts"].frames
		return slices.ContainsFunc(frames, func(f frame) bool { return string(f.data) == `{"text":"by hand"}` })
	})
	watched(t, g, token)
	measured(t, g, home)
	for _, c := range []*client{a, b} {
		c.check()
	}
	if n := g.metric("go_goroutines"); n > 200 {
		t.Errorf("%v goroutines", n)
	}

	began = time.Now()
	if err := g.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	g.ended(20*time.Second, 0)
	if _, err := os.Stat(filepath.Join(home, "tapecast", "demo.broker")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the address of a broker that is gone: %v", err)
	}
	t.Logf("stopped after %s", time.Since(began).Round(time.Millisecond))
	for _, c := range []*client{a, b} {
		c.notice("server_shutdown")
		if code := c.awaitClose(patience); code != 1001 && code != 1012 {
			t.Errorf("closed with %d", code)
		}
	}
	g.noTokens(t, token)
}

// printed is the token that the demo prints, among addresses and a command.
func (g *gateway) printed(t *testing.T) (token string) {
	t.Helper()
	eventually(t, patience, "the demo's token", func() bool {
		token = regexp.MustCompile(`(?m)^eyJ[\w-]+\.[\w-]+\.[\w-]+$`).FindString(g.output())
		return token != ""
	})
	out := g.output()
	for _, want := range []string{"ws://" + g.public + "/ws", "http://" + g.admin, "watch --url"} {
		if !strings.Contains(out, want) {
			t.Errorf("the demo prints no %s:\n%s", want, out)
		}
	}
	return token
}

// demoRooms: both clients get something in each of the user's seven rooms, and one of them in
// rooms of a symbol that it joins.
func demoRooms(t *testing.T, a, b *client) {
	t.Helper()
	user := "42"
	rooms := []string{"prices", "trades", "system_alerts", "user:" + user, "portfolio:" + user, "orders:" + user,
		"notifications:" + user}
	for _, c := range []*client{a, b} {
		c.notice("auto_subscribed")
		c.awaitFor(patience, "something in each room", func() bool {
			for _, r := range rooms {
				if c.rooms[r] == nil || len(c.rooms[r].frames) == 0 {
					return false
				}
			}
			return true
		})
	}
	if len(a.rooms) != len(rooms) {
		t.Errorf("joined %d rooms, want the seven", len(a.rooms))
	}
	if r := a.call("subscribe",
		map[string]any{"rooms": []string{"prices:BTCUSDT", "trades:BTCUSDT"}}); len(roomReplies(r.Result)) != 2 {
		t.Errorf("subscribe: %s %+v", r.Result, r.Error)
	}
	a.await("a symbol's own rooms", func() bool {
		return len(a.rooms["prices:BTCUSDT"].frames) > 0 && len(a.rooms["trades:BTCUSDT"].frames) > 0
	})
	symbols := map[string]bool{}
	a.await("50 symbols", func() bool {
		for _, f := range a.rooms["prices"].frames {
			symbols[f.key] = true
		}
		return len(symbols) >= 50
	})
}

// watched runs the command line client.
func watched(t *testing.T, g *gateway, token string) {
	t.Helper()
	w := spawn(t, "watch", "--url", g.url(), "--token", token, "--count", "20", "prices:ETHUSDT")
	within(t, patience, "20 messages", w.exited)
	out := w.output()
	if lines := strings.Count(out, "\n"); lines != 20 || !strings.Contains(out, "auto_subscribed") ||
		w.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("watch ended with %v after %d lines:\n%.2000s", w.cmd.ProcessState, lines, out)
	}
	w = spawn(t, "watch", "--url", g.url(), "--token", "garbage")
	within(t, patience, "the end", w.exited)
	if w.cmd.ProcessState.ExitCode() == 0 || !strings.Contains(w.tail(5), fmt.Sprint(4001)) {
		t.Errorf("watch with a bad token ended with %v: %s", w.cmd.ProcessState, w.tail(5))
	}
}

// measured runs the bench against the demo without a flag for keys or for publishing.
func measured(t *testing.T, g *gateway, home string) {
	t.Helper()
	if raceEnabled {
		return // it is another binary, and not part of what the race detector covers
	}
	for _, args := range [][]string{
		{"fanout", "--rooms", "prices", "--orders", "20", "--orders-clients", "3"},
		{"fanout", "--rooms", "trades:BENCH"},
		{"private"}, {"keyed", "--group", "2"},
		{"mixed", "--symbols", "10", "--symbol-rate", "50", "--order-rate", "20"},
	} {
		cmd := exec.Command(builtBench(t), append(args, "--target", g.url(), "--admin", "http://"+g.admin,
			"--clients", "5", "--warmup", "0s", "--duration", "1s", "--json", "--quiet")...)
		cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+home)
		out, err := cmd.Output()
		var res struct {
			Legs []demoLeg
		}
		if json.Unmarshal(out, &res) != nil || len(res.Legs) != 1 || !res.Legs[0].whole() {
			t.Errorf("%v: %v\n%s", args, err, out)
			continue
		}
		t.Logf("%v: %+v, %v", args, res.Legs[0], err) // a busy machine may not be good enough to measure on
	}
}

// demoLeg is the bench's report of its messages.
type demoLeg struct {
	demoCount
	Feeds  []demoCount
	Orders *demoCount
}

type demoCount struct{ Want, Unique, Lost int64 }

// whole reports whether each message came, and whether there were some of each kind.
func (l *demoLeg) whole() bool {
	counts := append([]demoCount{l.demoCount}, l.Feeds...)
	if l.Orders != nil {
		counts = append(counts, *l.Orders)
	}
	return l.Unique == l.Want &&
		!slices.ContainsFunc(counts, func(c demoCount) bool { return c.Want == 0 || c.Lost > 0 })
}
