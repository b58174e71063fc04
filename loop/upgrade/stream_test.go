package upgrade

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

var streamSite = &Site{Path: "/ws", MaxHead: MaxRequest, Stream: "/stream", MaxBody: 100,
	Allows: func(origin string) bool { return origin == "https://good" }}

// asks sends a request in every two pieces, which must be answered alike, and returns the answer and
// what decide was asked. The answer is nil if the request is not complete.
func asks(t *testing.T, request string, verdict Verdict) (*http.Response, *Request) {
	t.Helper()
	var asked *Request
	decide := func(r *Request) Verdict {
		r.Body = bytes.Clone(r.Body)
		asked = r
		return verdict
	}
	response, _, status := new(Scan).Answer([]byte(request), streamSite, testRemote, decide)
	for n := range request {
		var scan Scan
		b := []byte(request)
		if _, _, s := scan.Answer(b[:n], streamSite, testRemote, decide); s != 0 {
			if s != status {
				t.Fatalf("%d bytes of %q: %d, all: %d", n, request, s, status)
			}
			continue
		}
		if got, _, s := scan.Answer(b, streamSite, testRemote, decide); s != status || !bytes.Equal(got, response) {
			t.Fatalf("%q in two pieces: %d %q, at once: %d %q", request, s, got, status, response)
		}
	}
	if status == 0 {
		return nil, nil
	}
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(response)), nil)
	if err != nil || r.StatusCode != status {
		t.Fatalf("%q: %v, %d", response, err, status)
	}
	if status != 204 && status != 200 {
		body, err := io.ReadAll(r.Body)
		if err != nil || int64(len(body)) != r.ContentLength {
			t.Fatalf("body %q, %v", body, err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return r, asked
}

func post(body string, more ...string) string {
	return fmt.Sprintf("POST /stream?a=b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n%s", len(body),
		strings.Join(append(more, ""), "\r\n"), body)
}

// TestStreamRequests: what is asked for gets to the caller, whatever the pieces that it came in.
func TestStreamRequests(t *testing.T) {
	r, asked := asks(t, post(`{"rooms":["a"]}`, "Authorization: Bearer tok", "Origin: https://good"), Verdict{})
	if r.StatusCode != 200 || !r.Close || r.Header.Get("Content-Type") != "text/event-stream" ||
		r.Header.Get("Access-Control-Allow-Origin") != "https://good" || r.Header.Get("Vary") != "Origin" {
		t.Errorf("answered by %v", r)
	}
	if asked.Path != "/stream" || asked.Stream != "/stream" || string(asked.Body) != `{"rooms":["a"]}` ||
		asked.Token != "tok" || asked.Param("a") != "b" || asked.Remote != testRemote {
		t.Errorf("asked %+v", asked)
	}
	const rest = " HTTP/1.1\r\nHost: x\r\nOrigin: https://bad\r\n\r\n"
	r, asked = asks(t, "GET /stream/orders%3A42?key=a&key=b%20c&key=%zz"+rest, Verdict{})
	if r.StatusCode != 200 || r.Header.Get("Access-Control-Allow-Origin") != "" || asked.Path != "/stream/orders:42" ||
		fmt.Sprint(asked.Params("key")) != "[a b c]" || len(asked.Body) != 0 {
		t.Errorf("answered by %v, asked %+v", r, asked)
	}
	if r, _ := asks(t, post("")+"more", Verdict{}); r.StatusCode != 200 {
		t.Errorf("an empty body: %v", r)
	}
	if r, asked := asks(t, post(strings.Repeat("x", 100))[:150], Verdict{}); r != nil || asked != nil {
		t.Errorf("half a body is answered by %v", r)
	}
	r, asked = asks(t, get("/ws"), Verdict{})
	if r.StatusCode != 101 || asked.Stream != "" {
		t.Errorf("an upgrade: %v, %+v", r, asked)
	}
	open := *streamSite
	open.Allows = nil
	b, _, _ := new(Scan).Answer([]byte(post("{}", "Origin: https://any")), &open, testRemote, admit)
	if !strings.Contains(string(b), "Access-Control-Allow-Origin: *\r\n") || strings.Contains(string(b), "Vary") {
		t.Errorf("any page may read: %s", b)
	}
	open.Stream = ""
	if _, _, status := new(Scan).Answer([]byte(post("{}")), &open, testRemote, admit); status != 405 {
		t.Errorf("without streams: %d", status)
	}
}

// TestStreamRefused: each refusal says what to do, and a page of a good origin can read it.
func TestStreamRefused(t *testing.T) {
	f := func(status int, why, request string) {
		t.Helper()
		request = strings.Replace(request, "Host: x\r\n", "Host: x\r\nOrigin: https://good\r\n", 1)
		r, asked := asks(t, request, Verdict{Status: 429, Body: "slower", RetryAfter: 7, Close: 4129})
		if r == nil || r.StatusCode != status || !r.Close ||
			r.Header.Get("Access-Control-Allow-Origin") != "https://good" {
			t.Fatalf("%q is answered by %+v", request, r)
		}
		if (asked != nil) != (status == 429) {
			t.Errorf("%q: asked %v", request, asked)
		}
		if body, _ := io.ReadAll(r.Body); !strings.Contains(string(body), why) {
			t.Errorf("%q is refused by %q, want %q", request, body, why)
		}
		if status == 405 && r.Header.Get("Allow") == "" || status == 429 && (r.Header.Get("Retry-After") != "7" ||
			r.Header.Get("Tapecast-Close") != "4129") {
			t.Errorf("%d without its field: %v", status, r.Header)
		}
	}
	const rest = " HTTP/1.1\r\nHost: x\r\n"
	f(405, "only POST", "GET /stream"+rest+"\r\n")
	f(405, "only GET", "POST /stream/a"+rest+"Content-Length: 2\r\n\r\n{}")
	f(405, "only POST", "PUT /stream"+rest+"\r\n")
	f(404, "no room", "GET /stream/"+rest+"\r\n")
	f(411, "Content-Length", "POST /stream"+rest+"\r\n")
	f(411, "Content-Length", "POST /stream"+rest+"Transfer-Encoding: chunked\r\n\r\n")
	f(417, "100-continue", "POST /stream"+rest+"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	f(400, "Content-Length", "POST /stream"+rest+"Content-Length: +2\r\n\r\n{}")
	f(400, "Content-Length", "POST /stream"+rest+"Content-Length: 2, 2\r\n\r\n{}")
	f(413, "fewer rooms", "POST /stream"+rest+"Content-Length: 101\r\n\r\n")
	f(400, "token is badly encoded", "GET /stream/a?token=%zz"+rest+"\r\n")
	f(429, "slower", post("{}"))

	for _, length := range []string{"2", "3"} {
		twice := "Content-Length: " + length + "\r\nContent-Length: 2\r\n"
		if r, _ := asks(t, "POST /stream"+rest+twice+"\r\n{}", Verdict{}); r.StatusCode != 400 {
			t.Errorf("%q: %d", twice, r.StatusCode)
		}
	}
}

// TestStreamPreflight: a browser is told that pages of a good origin may ask for streams, and nothing
// about others.
func TestStreamPreflight(t *testing.T) {
	f := func(origin, allowed, headers string) {
		t.Helper()
		r, asked := asks(t, "OPTIONS /stream/a HTTP/1.1\r\nHost: x\r\nOrigin: "+origin+
			"\r\nAccess-Control-Request-Method: POST\r\n\r\n", Verdict{})
		if r.StatusCode != 204 || asked != nil || r.Header.Get("Access-Control-Allow-Origin") != allowed ||
			r.Header.Get("Access-Control-Allow-Headers") != headers {
			t.Errorf("the preflight of %s is answered by %+v", origin, r)
		}
	}
	f("https://good", "https://good", "Authorization, Content-Type, Last-Event-ID")
	f("https://bad", "", "")
}

// FuzzStream: a request for a stream is judged alike however it arrives, its body is what net/http
// reads, and the answer is well-formed.
func FuzzStream(f *testing.F) {
	f.Add([]byte(post(`{"rooms":["a"]}`, "Origin: https://good")), uint(90))
	f.Add([]byte("GET /stream/a%2fb?key=1 HTTP/1.1\r\nHost: x\r\nLast-Event-ID: e/0:1\r\n\r\n"), uint(9))
	f.Add([]byte("OPTIONS /stream HTTP/1.1\r\nHost: x\r\nOrigin: null\r\n\r\n"), uint(3))
	f.Add([]byte("POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
		uint(70))
	f.Fuzz(func(t *testing.T, b []byte, cut uint) {
		var req *Request
		var body []byte
		decide := func(r *Request) Verdict { req, body = r, bytes.Clone(r.Body); return Verdict{} }
		response, used, status := new(Scan).Answer(b, streamSite, testRemote, decide)
		if used > len(b) || (status == 0) != (response == nil) {
			t.Fatalf("%d bytes used of %d, status %d", used, len(b), status)
		}
		var sofar Scan
		part, _, s := sofar.Answer(b[:cut%uint(len(b)+1)], streamSite, testRemote, admit)
		if s == 0 {
			part, _, s = sofar.Answer(b, streamSite, testRemote, admit)
		}
		if s != status || !bytes.Equal(part, response) {
			t.Fatalf("in pieces: %d %q\nat once: %d %q", s, part, status, response)
		}
		if status == 0 {
			return
		}
		r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(response)), nil)
		if err != nil || r.StatusCode != status {
			t.Fatalf("%v in %q", err, response)
		}
		if status != 200 || req == nil {
			return
		}
		want, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b[:used])))
		if err != nil {
			t.Fatalf("accepted what net/http refuses: %s", err)
		}
		if text, err := io.ReadAll(want.Body); err != nil || !bytes.Equal(text, body) {
			t.Fatalf("the body %q, net/http reads %q, %v", body, text, err)
		}
	})
}
