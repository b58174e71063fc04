package upgrade

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestFile: a file is served to GET and HEAD, whole, gzipped or not at all where the client has it.
func TestFile(t *testing.T) {
	body := []byte(strings.Repeat("export const connect = 1;\n", 40))
	js, err := NewFile("/client.js", "text/javascript; charset=utf-8", body)
	if err != nil {
		t.Fatal(err)
	}
	site := &Site{Path: "/ws", MaxHead: MaxRequest, Files: []*File{js}}
	ask := func(line string, fields ...string) (*http.Response, string) {
		t.Helper()
		request := line + " HTTP/1.1\r\nHost: a\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\n"
		b, used, status := new(Scan).Answer([]byte(request), site, testRemote, admit)
		r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), &http.Request{Method: strings.Fields(line)[0]})
		if err != nil || used != len(request) || status != r.StatusCode {
			t.Fatalf("%s: %d of %d bytes, %d, %v: %q", line, used, len(request), status, err, b)
		}
		got, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r, string(got)
	}
	f := func(line string, status int, want string, fields ...string) http.Header {
		t.Helper()
		r, got := ask(line, fields...)
		if r.StatusCode != status || got != want {
			t.Errorf("%s %q: %d with %q", line, fields, r.StatusCode, got)
		}
		return r.Header
	}
	h := f("GET /client.js", 200, string(body))
	for name, want := range map[string]string{
		"Content-Type": "text/javascript; charset=utf-8", "Access-Control-Allow-Origin": "*",
		"Vary": "Accept-Encoding", "Cache-Control": "no-cache", "Content-Encoding": "",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	f("GET /client.js?v=2", 200, string(body))
	f("GET http://a/client.js", 200, string(body))
	f("HEAD /client.js", 200, "")
	f("GET /client.js", 304, "", "If-None-Match: W/"+h.Get("ETag"))
	f("GET /client.js", 304, "", "If-None-Match: *")
	f("GET /client.js", 200, string(body), `If-None-Match: "other"`)
	f("GET /client.js", 200, string(body), "Accept-Encoding: br, gzip;q=0")
	f("GET /other.js", 404, "not found: WebSocket is served at /ws\n")
	f("POST /client.js", 405, "only GET is served here\n")
	f("GET /client.js", 400, "bad header line\n", "bad")

	r, got := ask("GET /client.js", "Accept-Encoding: deflate, gzip;q=0.5")
	if r.Header.Get("Content-Encoding") != "gzip" || r.Header.Get("ETag") == h.Get("ETag") {
		t.Errorf("%v", r.Header)
	}
	z, err := gzip.NewReader(strings.NewReader(got))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(z); err != nil || !bytes.Equal(plain, body) {
		t.Errorf("%v, %q", err, plain)
	}
	f("GET /client.js", 304, "", "Accept-Encoding: gzip", "If-None-Match: "+r.Header.Get("ETag"))
}
