package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tapecast/server/client/scenario"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestScenarios plays every scenario.
func TestScenarios(t *testing.T) {
	all, err := scenario.Load("scenarios.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d scenarios", len(all))
	for _, s := range all {
		t.Run(strings.ReplaceAll(s.Name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			d := &driver{}
			defer d.stop()
			if err := scenario.Play(s, d); err != nil {
				t.Errorf("scenarios.yaml: %v", err)
			}
		})
	}
}

// driver is the client with an application around it. The clock and chance are the scenario's.
type driver struct {
	tape    *Tape
	olds    []*Tape
	options map[string]any
	stored  memory
	rooms   map[string]*Room

	mu      sync.Mutex // for all below, which the client's goroutines use
	now     time.Time
	luck    float64
	token   any
	loads   []any
	slow    chan struct{}
	blocked int // functions of the application that wait
	saw     []any
	sockets []chan struct{} // closed when they have ended
}

type memory struct{ b []byte }

func (m *memory) Load() ([]byte, error) { return m.b, nil }

func (m *memory) Save(b []byte) error {
	m.b = b
	return nil
}

// Do implements scenario.Driver.
func (d *driver) Do(command string, arg any) (answer any, saw []any, sockets int, err error) {
	if err = d.settle(); err == nil { // what was sent before is taken first
		answer, err = d.do(command, arg)
	}
	if err == nil {
		err = d.settle()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	saw, d.saw = d.saw, nil
	b, merr := json.Marshal([]any{answer, saw})
	var plain []any
	if merr == nil {
		merr = json.Unmarshal(b, &plain)
	}
	if err = errors.Join(err, merr); err != nil {
		return nil, nil, 0, err
	}
	saw, _ = plain[1].([]any)
	return plain[0], saw, len(d.sockets), nil
}

func (d *driver) do(command string, arg any) (answer any, err error) {
	o, _ := arg.(map[string]any)
	switch command {
	case "reset", "settle":
		d.with(func() {
			if command == "reset" {
				d.luck, d.now = 0.5, time.Unix(1e9, 0)
			}
		})
	case "connect":
		d.options = o
		d.with(func() { d.token = "t1" })
		return nil, d.connect()
	case "page":
		d.leave()
		return nil, d.connect()
	case "room":
		d.like(func() { d.room(o) })
	case "loaded":
		d.with(func() { close(d.slow) })
	case "leave":
		names, ok := arg.([]any)
		if !ok {
			names = []any{arg}
		}
		d.like(func() {
			for _, name := range names {
				d.find(name).Leave()
			}
		})
	case "call":
		d.call(o)
	case "close":
		d.tape.cancel()
	case "token":
		d.with(func() { d.token = arg })
	case "random":
		d.with(func() { d.luck = arg.(float64) })
	case "event":
		d.event(arg)
	case "time":
		return nil, d.time(arg.(float64))
	case "sleep": // no timer runs meanwhile; those that are due run once it wakes
		d.with(func() { d.now = d.now.Add(millis(arg.(float64))) })
		return nil, d.time(0)
	case "ended":
		return nil, d.ended(arg.(int))
	default:
		return d.look(command, arg)
	}
	return nil, nil
}

func (d *driver) look(command string, arg any) (any, error) {
	switch command {
	case "state":
		is, why := d.tape.State()
		d.tape.mu.Lock()
		defer d.tape.mu.Unlock()
		return map[string]any{"is": is, "code": why.Code, "reason": why.Reason, "wait": why.Wait.Milliseconds(),
			"timers": len(d.tape.timers.list)}, nil
	case "rooms":
		names := []string{}
		for _, r := range d.find(arg).Rooms() {
			names = append(names, r.Name())
		}
		return names, nil
	case "last":
		last := map[string]any{}
		for key, m := range d.find(arg).LastValues() {
			last[key] = m.Data
		}
		return last, nil
	case "positions":
		return d.find(arg).Positions(), nil
	}
	return nil, fmt.Errorf("no command is called %q", command)
}
