package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tapecast/server/client"
)

// asking is a request of a client that tails.
type asking struct {
	ID     int
	Method string
	Params struct {
		Token string
		Rooms []string
		Keys  []string
		Since map[string]map[string]any
	}
}

// tailed is a gateway that lets clients in. joined is called for each request to join.
func tailed(t *testing.T, joined func(say func(string, ...any), conn net.Conn, r asking)) (url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		say := func(text string, args ...any) {
			_ = wsutil.WriteServerText(conn, fmt.Appendf(nil, text, args...)) // a client that is gone is seen below
		}
		say(`{"jsonrpc":"2.0","method":"auth_required","params":{}}`)
		for {
			b, err := wsutil.ReadClientText(conn)
			if err != nil {
				return
			}
			var r asking
			if err := json.Unmarshal(b, &r); err != nil {
				t.Error(err)
			}
			switch r.Method {
			case "authenticate":
				if r.Params.Token != "t0ken" {
					say(`{"jsonrpc":"2.0","id":%d,"error":{"code":-32002,"message":"no"}}`, r.ID)
					ws.WriteFrame(conn, ws.NewCloseFrame(ws.NewCloseFrameBody(4001, "refused")))
					continue
				}
				say(`{"jsonrpc":"2.0","id":%d,"result":{}}`, r.ID)
				say(`{"jsonrpc":"2.0","method":"auto_subscribed","params":{}}`)
			case "subscribe":
				joined(say, conn, r)
			}
		}
	}))
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

// TestTail: it prints each message once, over a cut, and begins again where it ended.
func TestTail(t *testing.T) {
	const joined = `{"jsonrpc":"2.0","id":%d,"result":{"rooms":[{"room":"a","status":"joined","chain":true,` +
		`"positions":{"epoch":"e","0":%v}}]}}`
	url := tailed(t, func(say func(string, ...any), conn net.Conn, r asking) {
		at := r.Params.Since["a"]["0"]
		if fmt.Sprint(r.Params.Rooms, r.Params.Keys) != "[a] [k]" {
			t.Errorf("it asks for %v", r)
		}
		switch at {
		case nil:
			say(joined, r.ID, 5)
			say(`{"room":"a","key":"k","pos":"0:6","prev":"0:5","ts":3,"type":"t","data":6}`)
			conn.Close()
		case 6.0:
			say(joined, r.ID, 6)
			say(`{"room":"a","key":"k","pos":"0:6","prev":"0:5","data":6}`)
			say(`{"jsonrpc":"2.0","method":"gap","params":` +
				`{"room":"a","from":{"epoch":"e","0":6},"to":{"epoch":"e","0":8}}}`)
			say(`{"room":"a","key":"k","pos":"0:9","prev":"0:8","data":9}`)
		case 9.0:
			say(joined, r.ID, 9)
			say(`{"room":"a","key":"k","pos":"0:10","prev":"0:9","data":10}`)
		default:
			t.Errorf("it resumes from %v", at)
		}
	})
	args := []string{"tail", "--url", url, "--token", "t0ken", "--key", "k",
		"--positions", filepath.Join(t.TempDir(), "positions"), "a"}
	p := begin(t, nil, append(args, "--count", "2")...)
	p.ends(0)
	if got, want := p.stdout.String(), `{"room":"a","type":"t","key":"k","pos":"0:6","prev":"0:5","ts":3,"data":6}
{"room":"a","key":"k","pos":"0:9","prev":"0:8","data":9}
`; got != want {
		t.Errorf("prints %s", got)
	}
	p.says(&p.stderr, "disconnected: 1006")
	p.says(&p.stderr, `gap in a from {"0":6,"epoch":"e"} to {"0":8,"epoch":"e"} (server)`)
	p = begin(t, nil, args...)
	p.says(&p.stdout, `{"room":"a","key":"k","pos":"0:10","prev":"0:9","data":10}`+"\n")
	p.signals <- syscall.SIGINT
	p.ends(0)
}

// TestTailPositions: what it stores is the position of the last message that it printed, whatever came after it.
func TestTailPositions(t *testing.T) {
	const count, many = 3, 200
	url := tailed(t, func(say func(string, ...any), _ net.Conn, r asking) {
		at := 0
		if since := r.Params.Since["a"]; since != nil {
			at = int(since["0"].(float64))
		}
		say(`{"jsonrpc":"2.0","id":%d,"result":{"rooms":[{"room":"a","status":"joined","chain":true,`+
			`"positions":{"epoch":"e","0":%d}}]}}`, r.ID, at)
		for n := at + 1; n <= at+many; n++ {
			say(`{"room":"a","pos":"0:%d","prev":"0:%d","data":%d}`, n, n-1, n)
		}
	})
	args := []string{"tail", "--url", url, "--token", "t0ken", "--positions", filepath.Join(t.TempDir(), "positions"),
		"--count", fmt.Sprint(count), "a"}
	for run := range 5 {
		p := begin(t, nil, args...)
		p.ends(0)
		var want strings.Builder
		for n := run*count + 1; n <= (run+1)*count; n++ {
			fmt.Fprintf(&want, `{"room":"a","pos":"0:%d","prev":"0:%d","data":%d}`+"\n", n, n-1, n)
		}
		if got := p.stdout.String(); got != want.String() {
			t.Fatalf("run %d prints %s, not %s", run, got, want.String())
		}
	}
}

// TestTailCannotPrint: a message that could not be printed is not stored as one that was.
func TestTailCannotPrint(t *testing.T) {
	w := tail{e: &env{stdout: full{}}, end: func() {}}
	kept := &kept{}
	s := &printed{Storage: kept, unless: &w.unprinted}
	for n := range 2 {
		if err := s.Save([]byte(fmt.Sprint(n))); err != nil {
			t.Error(err)
		}
		w.message(client.Message{Room: "a", Data: json.RawMessage("1")})
	}
	if string(kept.b) != "0" || w.failed == nil {
		t.Errorf("it stores %s, %v", kept.b, w.failed)
	}
}

// full is a disk.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

type kept struct{ b []byte }

func (k *kept) Load() ([]byte, error) { return k.b, nil }

func (k *kept) Save(b []byte) error {
	k.b = b
	return nil
}

func TestTailEnds(t *testing.T) {
	url := tailed(t, func(say func(string, ...any), _ net.Conn, r asking) {
		say(`{"jsonrpc":"2.0","id":%d,"result":{"rooms":[`+
			`{"room":"a","error":{"code":-32007,"message":"forbidden"}}]}}`, r.ID)
	})
	f := func(says string, args ...string) {
		t.Helper()
		p := begin(t, nil, append([]string{"tail", "--url", url}, args...)...)
		p.ends(1)
		p.says(&p.stderr, says)
	}
	f("a: forbidden (-32007)", "--token", "t0ken", "a")
	f("closed by the gateway: 4001 refused", "--token", "bad", "a")
	f("requires at least 1 arg", "--token", "t0ken")
	f("write it as ws://host/ws", "--token", "t0ken", "--url", "http://x", "a")
}
