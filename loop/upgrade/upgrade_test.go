package upgrade

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

var (
	wsSite    = &Site{Path: "/ws", MaxHead: MaxRequest}
	anySite   = &Site{MaxHead: MaxRequest}
	elsewhere = &Site{Path: "/other", MaxHead: MaxRequest}
)

var testRemote = netip.MustParseAddrPort("192.0.2.7:4711")

// The request of RFC 6455, section 1.2, as lines to change.
const (
	rfcKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	rfcAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
	rfcLines  = "Host: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: " + rfcKey + "\r\nSec-WebSocket-Version: 13\r\n"
)

func get(target string, more ...string) string {
	return "GET " + target + " HTTP/1.1\r\n" + rfcLines + strings.Join(append(more, ""), "\r\n") + "\r\n"
}

func admit(*Request) Verdict { return Verdict{} }

// answer runs upgrade on a whole request, and on every one of its beginnings,
// which must ask for more or judge alike.
func answer(t *testing.T, request string, decide func(*Request) Verdict) *http.Response {
	t.Helper()
	b := []byte(request)
	response, used, status := new(Scan).Answer(b, wsSite, testRemote, decide)
	if status == 0 {
		return nil
	}
	var sofar Scan
	for n := range b {
		part, m, s := sofar.Answer(b[:n:n], wsSite, testRemote, decide)
		if s == 0 && (part != nil || m != 0) {
			t.Fatalf("%d bytes: neither done nor not: %q, %d", n, part, m)
		}
		if s != 0 && (s != status || !bytes.Equal(part, response)) {
			t.Fatalf("%d bytes: %q\nall of them: %q", n, part, response)
		}
		if s != 0 {
			sofar = Scan{}
		}
	}
	if used > len(b) || status == 101 && !strings.HasSuffix(request[:used], "\r\n\r\n") {
		t.Fatalf("%d bytes used of %q", used, request)
	}
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(response)), nil)
	if err != nil {
		t.Fatalf("%q: %s", response, err)
	}
	if r.StatusCode != status {
		t.Fatalf("status %d, but %q", status, response)
	}
	if status != 101 {
		if !r.Close {
			t.Fatalf("no Connection: close in %q", response)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || int64(len(body)) != r.ContentLength {
			t.Fatalf("body %q, %v, of %q", body, err, response)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return r
}

func TestUpgrade(t *testing.T) {
	var req *Request
	calls := 0
	decide := func(r *Request) Verdict { req = r; calls++; return Verdict{} }
	r := answer(t, get("/ws?room=a%20b&join=manual", "X-Forwarded-For: 198.51.100.1", "cookie: \t a=b; c=d \t",
		"x-forwarded-for: 10.0.0.1"), decide)
	if r.StatusCode != 101 || r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Connection") != "Upgrade" {
		t.Fatalf("%+v", r)
	}
	if got := r.Header.Get("Sec-WebSocket-Accept"); got != rfcAccept {
		t.Fatalf("accept %q", got)
	}
	if _, ok := r.Header["Sec-Websocket-Protocol"]; ok {
		t.Fatal("a subprotocol nobody offered")
	}
	if calls != 1 {
		t.Fatalf("%d calls of decide for one request and its beginnings", calls)
	}
	if req.Path != "/ws" || req.Query != "room=a%20b&join=manual" || req.Remote != testRemote || req.Token != "" ||
		len(req.Subprotocols) != 0 {
		t.Fatalf("%+v", req)
	}
	h := func(name, want string) {
		t.Helper()
		if got := req.Header(name); got != want {
			t.Fatalf("%s: %q, want %q", name, got, want)
		}
	}
	h("HOST", "server.example.com")
	h("X-Forwarded-For", "198.51.100.1, 10.0.0.1")
	h("Cookie", "a=b; c=d")
	h("Origin", "")
	p := func(name, want string) {
		t.Helper()
		if got := req.Param(name); got != want {
			t.Fatalf("%s: %q, want %q", name, got, want)
		}
	}
	p("room", "a b")
	p("join", "manual")
	p("token", "")
}

// Frames may follow the request in the same packet.
func TestUpgradeEarlyFrames(t *testing.T) {
	head := get("/ws")
	_, used, status := new(Scan).Answer([]byte(head+"\x81\x80\x00\x00\x00\x00"), wsSite, testRemote, admit)
	if status != 101 || used != len(head) {
		t.Fatalf("%d, used %d of %d", status, used, len(head))
	}
}

// A dialer that is not ours finds the answer in order.
func TestUpgradeByDialer(t *testing.T) {
	var toServer bytes.Buffer
	u, err := url.Parse("ws://server.example.com/ws?token=x")
	if err != nil {
		t.Fatal(err)
	}
	p := &pipe{w: &toServer, fill: func() []byte {
		b, _, _ := new(Scan).Answer(toServer.Bytes(), wsSite, testRemote, admit)
		return b
	}}
	_, hs, err := ws.Dialer{Protocols: []string{subprotocol}}.Upgrade(p, u)
	if err != nil || hs.Protocol != subprotocol {
		t.Fatalf("%+v, %v", hs, err)
	}
}

// pipe gives what fill makes of all that was written.
type pipe struct {
	w    io.Writer
	r    *bytes.Reader
	fill func() []byte
}

func (p *pipe) Write(b []byte) (int, error) { return p.w.Write(b) }
func (p *pipe) Read(b []byte) (int, error) {
	if p.r == nil {
		p.r = bytes.NewReader(p.fill())
	}
	return p.r.Read(b)
}

func TestUpgradeToken(t *testing.T) {
	f := func(want, target string, more ...string) {
		t.Helper()
		got := "not asked"
		answer(t, get(target, more...), func(r *Request) Verdict {
			got = r.Token
			return Verdict{}
		})
		if got != want {
			t.Fatalf("token %q, want %q", got, want)
		}
	}
	f("", "/ws")
	f("a.b-c_d", "/ws", "Authorization: Bearer a.b-c_d")
	f("abc", "/ws", "authorization:bEARER   abc")
	f("", "/ws", "Authorization: Basic abc")
	f("", "/ws", "Authorization: Bearer")
	f("p", "/ws", "Authorization: Basic abc", "Sec-WebSocket-Protocol: bearer.p")
	f("a.b", "/ws?token=a.b")
	f("a/b+c=d é", "/ws?x=1&token=a%2Fb%2bc%3Dd+%C3%A9&token=second")
	f("abc", "/ws?%74oken=abc")
	f("abc", "/ws?%zz=1&&=&token=abc")
	f("", "/ws?token")
	f("", "/ws?")
	f("", "/ws?tokens=a&xtoken=b")
	f("abc", "/ws", "Sec-WebSocket-Protocol: tapecast.v1, bearer.abc")
	f("abc", "/ws", "Sec-WebSocket-Protocol: x ,,", "Sec-WebSocket-Protocol: bearer.abc,bearer.def")
	f("", "/ws", "Sec-WebSocket-Protocol: Bearer.abc")
	f("", "/ws", "Sec-WebSocket-Protocol: bearer.")
	f("a.b", "/ws", "Sec-WebSocket-Protocol: bearer, a.b")
	f("abc", "/ws", "Sec-WebSocket-Protocol: tapecast.v1, bearer", "Sec-WebSocket-Protocol: abc, x")
	f("abc", "/ws", "Sec-WebSocket-Protocol: bearer, abc, bearer.def, bearer, ghi")
	f("bearer", "/ws", "Sec-WebSocket-Protocol: bearer, bearer, abc")
	f("", "/ws", "Sec-WebSocket-Protocol: bearer, tapecast.v1, abc")
	f("", "/ws", "Sec-WebSocket-Protocol: abc, bearer")
	f("", "/ws", "Sec-WebSocket-Protocol: Bearer, abc")

	// The first of header, query, subprotocol.
	f("h", "/ws?token=q", "Sec-WebSocket-Protocol: bearer.p", "Authorization: Bearer h")
	f("q", "/ws?token=q", "Sec-WebSocket-Protocol: bearer.p")
	f("p", "/ws?token=", "Sec-WebSocket-Protocol: bearer.p")
}

func TestUpgradeSubprotocol(t *testing.T) {
	f := func(verdict, want, offered string, more ...string) {
		t.Helper()
		var lists []string
		for _, o := range append(more, offered) {
			lists = append(lists, "Sec-WebSocket-Protocol: "+o)
		}
		var seen []string
		r := answer(t, get("/ws", lists...), func(r *Request) Verdict {
			seen = r.Subprotocols
			return Verdict{Subprotocol: verdict}
		})
		if got := r.Header.Get("Sec-WebSocket-Protocol"); got != want {
			t.Fatalf("selected %q, want %q", got, want)
		}
		for _, s := range seen {
			if strings.HasPrefix(s, tokenProtocol) || s == "TOKEN" {
				t.Fatalf("Subprotocols shows a token: %q", seen)
			}
		}
	}
	f("", "tapecast.v1", "tapecast.v1")
	f("", "tapecast.v1", "graphql-ws, tapecast.v1")
	f("", "tapecast.v1", "bearer.abc, tapecast.v1")
	f("", "tapecast.v1", "tapecast.v1", "bearer.abc")
	f("", "bearer.abc", "bearer.abc")
	f("", "bearer.abc", "bearer.abc, bearer.def")
	f("", "bearer", "bearer, TOKEN")
	f("", "bearer", "TOKEN", "bearer")
	f("", "tapecast.v1", "bearer, TOKEN, tapecast.v1")
	f("", "tapecast.v1", "tapecast.v1, bearer, TOKEN")
	f("", "", "bearer, TOKEN, graphql-ws")
	f("", "", "bearer")
	f("", "", "graphql-ws")
	f("", "", "graphql-ws, bearer.abc")
	f("", "", "Tapecast.v1")
	f("other", "other", "tapecast.v1, other")
	f("other", "", "tapecast.v1")
	f("other", "bearer.abc", "bearer.abc")
}

// What the verdict says is what the client gets.
func TestUpgradeVerdict(t *testing.T) {
	f := func(v Verdict, header, want, body string) {
		t.Helper()
		r := answer(t, get("/ws"), func(*Request) Verdict { return v })
		if r.StatusCode != v.Status || r.Header.Get(header) != want {
			t.Fatalf("%d, %v; want %d, %s: %s", r.StatusCode, r.Header, v.Status, header, want)
		}
		if got, _ := io.ReadAll(r.Body); string(got) != body+"\n" {
			t.Fatalf("body %q, want %q", got, body)
		}
	}
	f(Verdict{Status: 503, RetryAfter: 7, Body: "full"}, "Retry-After", "7", "full")
	f(Verdict{Status: 401}, "WWW-Authenticate", "Bearer", "Unauthorized")
	f(Verdict{Status: 403, Body: "no such origin"}, "Retry-After", "", "no such origin")
	f(Verdict{Status: 429, RetryAfter: 1}, "Retry-After", "1", "Too Many Requests")

	defer func() {
		if p, _ := recover().(string); !strings.HasPrefix(p, "BUG: ") {
			t.Fatalf("a verdict of status 200: %q", p)
		}
	}()
	new(Scan).Answer([]byte(get("/ws")), anySite, testRemote,
		func(*Request) Verdict { return Verdict{Status: 200} })
}
