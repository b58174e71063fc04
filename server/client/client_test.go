package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tapecast/rooms/testwait"
)

func TestConnectRefusesAddresses(t *testing.T) {
	for _, address := range []string{"", "http://x/", "ws://", "127.0.0.1:8080", "ws://a b/"} {
		if tape, err := Connect(t.Context(), address); err == nil {
			tape.Close()
			t.Errorf("%q is taken", address)
		}
	}
}

// TestHandlersUseTheClient: handlers may join and leave, and a room that was left tells nothing more.
func TestHandlersUseTheClient(t *testing.T) {
	url := serve(t, func(say func(string, ...any), r asked) {
		if r.Method != "subscribe" {
			return
		}
		for n := 1; n <= 100; n++ {
			say(`{"room":%q,"pos":"0:%d","prev":"0:%d","data":%d}`, r.Params.Rooms[0], n, n-1, n)
		}
	})
	var tape *Tape
	made := make(chan struct{})
	got, joined := 0, make(chan string, 1)
	tape = connect(t, url, OnState(func(State, Ending) { <-made }))
	close(made)
	tape.Room("a", OnMessage(func(m Message) {
		if got++; got > 1 {
			t.Errorf("%s %s comes after the leave", m.Room, m.Pos)
		}
		tape.Room("a").Leave()
		tape.Room("b", OnMessage(func(m Message) {
			if m.Pos == "0:100" {
				joined <- m.Room
			}
		}))
	}))
	select {
	case <-joined:
	case <-time.After(testwait.Patience):
		t.Error("the second room tells nothing")
	}
}

// TestManyGoroutines: any goroutine may use the client, and each message comes once and in order.
func TestManyGoroutines(t *testing.T) {
	const most = 2000
	url := serve(t, func(say func(string, ...any), r asked) {
		switch {
		case r.Method == "ping":
			say(`{"jsonrpc":"2.0","id":%d,"result":{"timestamp":1}}`, r.ID)
		case r.Method == "subscribe" && r.Params.Rooms[0] == "a":
			for n := 1; n <= most; n++ {
				say(`{"room":"a","pos":"0:%d","prev":"0:%d","data":%d}`, n, n-1, n)
			}
		}
	})
	tape := connect(t, url)
	last, done := 0, make(chan struct{})
	tape.Room("a", OnMessage(func(m Message) {
		if string(m.Data) != fmt.Sprint(last+1) {
			t.Errorf("%s comes after %d", m.Data, last)
		}
		if last++; last == most {
			close(done)
		}
	}))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for n := range 50 {
				r := tape.Room(fmt.Sprint("r", g, n))
				if _, err := tape.Call(t.Context(), "ping", nil); err != nil {
					t.Error(err)
				}
				r.Positions()
				tape.State()
				tape.Wake()
				r.Leave()
			}
		})
	}
	wg.Wait()
	select {
	case <-done:
	case <-time.After(testwait.Patience):
		t.Error("messages are missing")
	}
}

// TestCallBounds: calls that are not answered are bounded, and each ends with its context.
func TestCallBounds(t *testing.T) {
	tape := connect(t, serve(t, nil))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range queued {
		if _, err := tape.Call(gone, "x", nil); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	testwait.Until(t, testwait.Patience, "an open connection", func() bool {
		state, _ := tape.State()
		return state == Open
	})
	var failed *Error
	for n := 0; ; n++ {
		_, err := tape.Call(gone, "x", nil)
		if errors.As(err, &failed) {
			break
		}
		if n > queued {
			t.Fatal("calls have no bound")
		}
	}
	if failed.Code != 1006 {
		t.Error(failed)
	}
}

// TestEnds: the client ends with its context, also while the application's functions run, and calls end.
func TestEnds(t *testing.T) {
	asked := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	tape, err := Connect(ctx, "ws://127.0.0.1:1/", WithToken(func(ctx context.Context) (string, error) {
		close(asked)
		<-ctx.Done()
		return "", ctx.Err()
	}))
	if err != nil {
		t.Fatal(err)
	}
	called := make(chan error, 1)
	go func() {
		_, err := tape.Call(context.Background(), "ping", nil)
		called <- err
	}()
	<-asked
	cancel()
	<-tape.Done()
	if err := <-called; err == nil {
		t.Error("the call is answered")
	}
	if state, why := tape.State(); state != Closed || why.Code != 1000 {
		t.Errorf("it is %v, %v", state, why)
	}
	tape.Close() // again
	tape.Room("a").Leave()
}

// TestCloseWaits: nothing of the client runs after Close, nor do functions of the application.
func TestCloseWaits(t *testing.T) {
	asked, slow := make(chan struct{}), make(chan struct{})
	returned := false // the race detector sees it if Close does not wait
	tape := connect(t, "ws://127.0.0.1:1/", WithToken(func(ctx context.Context) (string, error) {
		close(asked)
		<-ctx.Done()
		<-slow
		returned = true
		return "", ctx.Err()
	}))
	<-asked
	closed := make(chan struct{})
	go func() {
		tape.Close()
		close(closed)
	}()
	<-tape.ended
	select {
	case <-closed:
		t.Error("Close does not wait for the token")
	default:
	}
	close(slow)
	<-closed
	if !returned {
		t.Error("Close does not wait for the token")
	}
}

// TestLeftMeanwhile: what was to be told of a room when it was left is not told.
func TestLeftMeanwhile(t *testing.T) {
	tape := connect(t, serve(t, nil))
	var told []string
	tape.Room("a", OnMessage(func(m Message) {
		told = append(told, m.Pos)
		tape.Room("a").Leave()
	}))
	done := make(chan struct{})
	tape.post(t.Context(), func() {
		a, _ := tape.joins.members.get("a")
		tape.tell(onMessage, a, &Message{Pos: "0:1"})
		tape.tell(onMessage, a, &Message{Pos: "0:2"})
		tape.events = append(tape.events, event{kind: onCall, what: func() { close(done) }})
	})
	<-done
	if len(told) != 1 {
		t.Errorf("it is told of %v", told)
	}
}

// TestStoredFaults: positions that cannot be resumed are not asked for, and a bad file is told.
func TestStoredFaults(t *testing.T) {
	sinces := make(chan map[string]any, 8)
	url := serve(t, func(_ func(string, ...any), r asked) {
		if r.Method == "subscribe" {
			sinces <- r.Params.Since
		}
	})
	stored := `[{"room":"a","positions":{"epoch":"e","0":-2}},{"room":"b","positions":{"epoch":"e","0":2}}]`
	bad := &memory{[]byte(stored)}
	begun := make(chan struct{})
	tape := connect(t, url, WithStorage(bad), OnState(func(State, Ending) { <-begun }))
	tape.Room("a")
	tape.Room("b")
	close(begun)
	if since := <-sinces; len(since) != 1 || since["b"] == nil {
		t.Errorf("it asks for %v", since)
	}
	told := make(chan *Error, 1)
	connect(t, url, WithStorage(&memory{[]byte("{")}), OnError(func(err *Error, _ string) { told <- err }))
	if err := <-told; err.Code != 0 || !strings.Contains(err.Message, "stored") {
		t.Error(err)
	}
}

func TestFileStorage(t *testing.T) {
	url := serve(t, func(say func(string, ...any), r asked) {
		if r.Method == "subscribe" {
			say(`{"room":"a","pos":"0:7","prev":"0:0","data":7}`)
		}
	})
	path := filepath.Join(t.TempDir(), "positions")
	for n := range 2 {
		came := make(chan struct{})
		tape := connect(t, url, WithStorage(FileStorage(path)),
			OnError(func(err *Error, room string) { t.Error(err, room) }))
		a := tape.Room("a", OnMessage(func(Message) { close(came) }), OnJoined(func(Joined) {
			if n == 1 {
				close(came)
			}
		}))
		<-came
		if at := a.Positions(); at.Epoch != "e" || at.Offsets[0] != 7 {
			t.Errorf("it is at %v", at)
		}
		tape.Close()
	}
}

func TestRetryAfter(t *testing.T) {
	f := func(text string, least, most time.Duration) {
		t.Helper()
		r := &http.Response{Header: http.Header{"Retry-After": {text}}}
		if got := retryAfter(r); got < least || got > most {
			t.Errorf("%q is %v", text, got)
		}
	}
	f("7", 7*time.Second, 7*time.Second)
	f("0.5", time.Second/2, time.Second/2)
	f("-1", 0, 0)
	f("NaN", 0, 0)
	f("soon", 0, 0)
	f("1e300", maxWait, maxWait)
	f(time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), 50*time.Minute, time.Hour)
	f(time.Unix(0, 0).UTC().Format(http.TimeFormat), 0, 0)
}
