package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// ticksEach is how many messages each room of the wildcard has: every room always gets a new one.
const ticksEach = 50

// page is one of the page's clients in node or in Chromium, with all that it was told.
type page struct {
	t     testing.TB
	kind  string
	user  string
	roams bool // roaming, which leaves and joins a room and has a wildcard; else tapecast
	cut   *cutProxy
	cmd   *exec.Cmd
	// profile is where a Chromium keeps its files.
	profile string

	mu     sync.Mutex
	order  string // what it must do next
	tokens string // the tokens that it gets: good, none, bad
	asked  int    // requests for a token
	orders int    // the next expected number
	ticks  int    // ticks that came
	at     map[string]map[int]int64
	prices map[string]int
	heard  map[string]int // notices, by method
	codes  map[int]int    // of closes
	wanted map[int]bool   // codes of errors that are expected
	faults []string

	reports int // that came, 50 ms apart by the page's own clock
}

// told is one thing that the client was told.
type told struct {
	Message *struct {
		Room, Key, Pos, Prev string
		Data                 struct{ N int }
	}
	Method string
	Params json.RawMessage
	Error  *rpcError
	Room   string
}

func newPage(t testing.TB, kind string, roams bool, cut *cutProxy) *page {
	user := "of-" + kind
	if roams {
		user += "-roaming"
	}
	return &page{t: t, kind: kind, user: user, roams: roams, cut: cut, order: "roam", tokens: "good",
		at: map[string]map[int]int64{}, prices: map[string]int{}, heard: map[string]int{}, codes: map[int]int{},
		wanted: map[int]bool{}}
}

func (p *page) faultLocked(format string, args ...any) {
	p.faults = append(p.faults, fmt.Sprintf(format, args...))
}

// set changes what the test has set; get reads what the client has.
func (p *page) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// await waits until ok holds. It calls ok under the lock.
func (p *page) await(what string, ok func() bool) {
	p.t.Helper()
	eventually(p.t, patience, p.user+": "+what, func() (done bool) {
		p.set(func() { done = ok() || len(p.faults) > 0 })
		return done
	})
	p.check()
}

// check fails the test if the client was told what it must not be told.
func (p *page) check() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.faults) > 0 {
		p.t.Fatalf("%s: %d faults, the first: %q; heard %v, codes %v",
			p.user, len(p.faults), p.faults[:min(5, len(p.faults))], p.heard, p.codes)
	}
}

// report takes what the client was told since the last report.
func (p *page) report(w http.ResponseWriter, r *http.Request) {
	var all []told
	err := json.NewDecoder(r.Body).Decode(&all)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reports++
	if err != nil {
		p.faultLocked("cannot read a report: %v", err)
	}
	for _, m := range all {
		switch {
		case m.Message != nil:
			p.messageLocked(m)
		case m.Error != nil:
			if !p.wanted[m.Error.Code] {
				p.faultLocked("%+v of %q", *m.Error, m.Room)
			}
		default:
			p.noticeLocked(m.Method, m.Params)
		}
	}
	fmt.Fprint(w, p.order)
}

// messageLocked compares a message with those before it. Over all connections, leaves and
// joins the order's number is the next one, and prev is the message before it.
func (p *page) messageLocked(m told) {
	f := m.Message
	if f.Room == "prices" {
		if old, ok := p.prices[f.Key]; ok && f.Data.N < old {
			p.faultLocked("%+v after %d", *f, old)
		}
		p.prices[f.Key] = f.Data.N
		return
	}
	if f.Room == "orders:"+p.user {
		if f.Data.N != p.orders {
			p.faultLocked("%+v, though %d is the next", *f, p.orders)
		}
		p.orders = f.Data.N + 1
	}
	part, off, err := parsePos(f.Pos)
	if err != nil {
		p.faultLocked("%v in %+v", err, *f)
	}
	if p.at[f.Room] == nil {
		p.at[f.Room] = map[int]int64{}
	}
	last, had := p.at[f.Room][part]
	ticks := strings.HasPrefix(f.Room, "ticks:")
	if ticks {
		p.ticks++
	}
	if had && (ticks || f.Room == "trades") && off != last+1 {
		p.faultLocked("%+v after %d:%d", *f, part, last)
	}
	if ticks && !had && f.Data.N%ticksEach != 0 {
		p.faultLocked("%+v is the first of its room", *f)
	}
	if _, prev, err := parsePos(f.Prev); f.Prev != "" && (err != nil || had && prev != last) {
		p.faultLocked("%+v, though the message before it is %d:%d", *f, part, last)
	}
	p.at[f.Room][part] = off
}

func parsePos(pos string) (part int, off int64, err error) {
	before, after, _ := strings.Cut(pos, ":")
	if part, err = strconv.Atoi(before); err == nil {
		off, err = strconv.ParseInt(after, 10, 64)
	}
	return part, off, err
}

func (p *page) noticeLocked(method string, params json.RawMessage) {
	p.heard[method]++
	var n struct {
		Room      string
		Code      int
		Recovered map[string]bool
		Errors    []any
	}
	if err := json.Unmarshal(params, &n); err != nil && method != "positions" {
		p.faultLocked("%s %s: %v", method, params, err)
	}
	switch method {
	case "gap": // Kafka has everything that was missed
		p.faultLocked("a gap: %s", params)
	case "reset":
		delete(p.at, n.Room)
	case "closed":
		p.codes[n.Code]++
	case "auto_subscribed":
		if _, asked := n.Recovered["orders:"+p.user]; p.heard[method] > 1 && !p.roams && !asked {
			p.faultLocked("it did not say where it was: %s", params)
		}
		for room, whole := range n.Recovered {
			if !whole {
				p.faultLocked("%s is not recovered", room)
			}
		}
		if len(n.Errors) > 0 {
			p.faultLocked("%s", params)
		}
	}
}
