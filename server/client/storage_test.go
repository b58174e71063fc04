package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// busy is a storage that hangs until it is let go, and that uses the client.
type busy struct {
	tape  *Tape
	begun chan string   // what each Save is given
	free  chan struct{} // one Save goes on for each
}

func (b *busy) Load() ([]byte, error) { return nil, nil }

func (b *busy) Save(positions []byte) error {
	b.tape.Room("a").Positions()
	b.tape.State()
	b.begun <- string(positions)
	<-b.free
	return errors.New("the disk is full")
}

// TestStorageHangs: a storage that hangs and uses the client stops nothing. What is newest is saved after it, and
// its last error is told before the client ends.
func TestStorageHangs(t *testing.T) {
	says := make(chan func(string, ...any), 1)
	url := serve(t, func(say func(string, ...any), r asked) {
		if r.Method == "subscribe" {
			says <- say
		}
	})
	s := &busy{begun: make(chan string, 8), free: make(chan struct{}, 8)}
	made, came := make(chan struct{}), make(chan string, 8)
	faults := 0 // counted by the client's goroutine
	tape := connect(t, url, WithStorage(s), OnState(func(State, Ending) { <-made }),
		OnMessage(func(m Message) { came <- m.Pos }), OnError(func(*Error, string) { faults++ }))
	s.tape = tape
	tape.Room("a")
	close(made)
	say := <-says
	has := func(positions, want string) {
		t.Helper()
		if !strings.Contains(positions, want) {
			t.Errorf("it saves %s, not %s", positions, want)
		}
	}
	say(`{"room":"a","pos":"0:1","prev":"0:0","data":1}`)
	<-came
	has(<-s.begun, `"0":1`) // a second later; now it hangs
	say(`{"room":"a","pos":"0:2","prev":"0:1","data":2}`)
	<-came
	go tape.Close() // which waits for it
	<-tape.ctx.Done()
	s.free <- struct{}{}
	has(<-s.begun, `"0":2`)
	s.free <- struct{}{}
	<-tape.Done()
	if faults != 2 || len(s.begun) > 0 {
		t.Errorf("%d faults are told, and %d more saved", faults, len(s.begun))
	}
}

// TestStoresWhatMatters: of too many positions those of wildcards and named rooms are stored first, and what an
// earlier run left last. That some are not stored is told once.
func TestStoresWhatMatters(t *testing.T) {
	kept := &memory{[]byte(`[{"room":"old","positions":{"epoch":"e","0":2}}]`)}
	var told []string
	tape := connect(t, serve(t, func(say func(string, ...any), r asked) {
		if r.Method != "subscribe" || r.Params.Rooms[0] != "w:*" {
			return
		}
		for n := range stored {
			say(`{"jsonrpc":"2.0","method":"joined","params":`+
				`{"pattern":"w:*","room":"w:%d","chain":true,"positions":{"epoch":"e","0":1}}}`, n)
		}
		say(`{"room":"w:%d","pos":"0:2","data":2}`, stored-1)
	}), WithStorage(kept), OnError(func(err *Error, _ string) { told = append(told, err.Message) }))
	came := make(chan struct{})
	tape.Room("w:*", OnMessage(func(Message) { close(came) }))
	<-came
	joined := make(chan struct{})
	tape.Room("a", OnJoined(func(Joined) { close(joined) }))
	<-joined
	tape.Close()
	var all []place
	if err := json.Unmarshal(kept.b, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != stored || all[0].Room != "w:*" || all[1].Room != "a" || all[2].Room != "w:0" ||
		all[stored-1].Room != fmt.Sprint("w:", stored-3) {
		t.Errorf("it stores %d, from %v to %v", len(all), all[:3], all[len(all)-1])
	}
	if len(told) != 1 || !strings.Contains(told[0], "too many") {
		t.Errorf("it tells %q", told)
	}
}

// TestCloseIsBounded: a gateway that does not answer a close keeps the client for its goodbye, and if the context of
// Connect is done for a moment only.
func TestCloseIsBounded(t *testing.T) {
	f := func(goodbye time.Duration, end func(tape *Tape, cancel func())) {
		t.Helper()
		over, joined := make(chan struct{}), make(chan struct{})
		url := serve(t, func(_ func(string, ...any), r asked) {
			if r.Method == "subscribe" {
				close(joined)
				<-over // it reads nothing more
			}
		})
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		defer close(over)
		tape, err := Connect(ctx, url, option(func(o *options) { o.goodbye = goodbye }))
		if err != nil {
			t.Fatal(err)
		}
		tape.Room("a")
		<-joined
		began := time.Now()
		end(tape, cancel)
		select {
		case <-tape.Done():
			// The library would wait 5 s.
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("it ends after %v", took)
			}
		case <-time.After(time.Minute):
			t.Error("it does not end")
		}
	}
	f(time.Millisecond, func(tape *Tape, _ func()) { tape.Close() })
	f(time.Hour, func(_ *Tape, cancel func()) { cancel() })
	f(time.Hour, func(tape *Tape, cancel func()) {
		go tape.Close()
		<-tape.ctx.Done()
		cancel()
	})
}
