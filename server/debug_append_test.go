package server

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"tapecast/server/config"
)

// packed appends one entry of /debug/append.
func packed(dst []byte, room, value string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(room)))
	dst = append(dst, room...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(value)))
	return append(dst, value...)
}

func directServer(t *testing.T) *Server {
	return startServer(t, func(cfg *config.Config) {
		cfg.Admin.Direct = true
		cfg.Rooms = append(cfg.Rooms, config.Room{Match: "bare", Class: "stream"},
			config.Room{Match: "unfed", Class: "stream"})
		cfg.Ingest.Routes = []config.Route{
			{Topic: "market.trades", Rooms: []string{"trades", "trades:{s}"}, Type: "trade_update"},
			{Topic: "private.orders", Rooms: []string{"orders:{@key}"}, Partitioner: "murmur2"},
			{Topic: "bare", Rooms: []string{"bare"}, Envelope: "none", Format: "binary"},
		}
	})
}

func TestDirect(t *testing.T) {
	s := directServer(t)
	c := enter(t, s, "42")
	c.send(`{"method":"subscribe","params":["trades:A"],"id":1}`)
	c.until(`"id":1`)

	// A stream: what was written is appended before the body ends.
	write, end := appending(t, s)
	frame := func(words ...string) string {
		t.Helper()
		return has(t, c.until(words[0]), words...)
	}
	write(packed(nil, "trades", `{ "n":0}`))
	frame(`"room":"trades"`, `"type":"trade_update"`, `"pos":"0:0"`, `"data":{ "n":0}}`)
	b := packed(packed(nil, "trades:A", `{"n":1}`), "trades", `{"n":2}`)
	write(b[:5]) // in pieces
	write(b[5:17])
	write(b[17:])
	// No order is promised between rooms.
	one, two := c.until(`"room":`), c.until(`"room":`)
	if strings.Contains(one, `"room":"trades"`) {
		one, two = two, one
	}
	has(t, one, `"room":"trades:A"`, `"pos":"0:1"`)
	has(t, two, `"room":"trades"`, `"pos":"0:2"`, `"prev":"0:0"`)
	big := `"` + strings.Repeat("x", 3*directRead) + `"`
	write(packed(nil, "trades", big))
	if m := frame(`"room":"trades"`, `"pos":"0:3"`, `"prev":"0:2"`); !strings.Contains(m, big) {
		t.Error("the big value is not whole")
	}
	write(packed(nil, "orders:42", `{"o":1}`))
	frame(`"room":"orders:42"`, `"type":"private.orders"`, `"pos":"0:0"`)
	c.send(`{"method":"list_subscriptions","id":2}`)
	list := c.until(`"id":2`)
	if _, at, _ := strings.Cut(list, `"room":"orders:42"`); !strings.Contains(at[:200], `"0":0,"1":-1`) {
		t.Errorf("orders:42 has had offset 0 of partition 0, but %s", at)
	}
	if got := end(); got != "200 {\"appended\":5}\n" {
		t.Errorf("answered %s", got)
	}

	// The next request goes on where this one ended.
	code, _, body := s.ask(t, "POST", "/debug/append", string(packed(nil, "trades", `{"n":4}`)))
	if code != 200 || body != "{\"appended\":1}\n" {
		t.Errorf("%d %s", code, body)
	}
	frame(`"room":"trades"`, `"pos":"0:4"`, `"prev":"0:3"`)
}

// has reports each word that a message lacks, and returns the message.
func has(t *testing.T, m string, words ...string) string {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(m, word) {
			t.Errorf("%s lacks %s", m, word)
		}
	}
	return m
}

// appending begins a request to /debug/append. write sends more of its body, and end ends it
// and returns the answer.
func appending(t *testing.T, s *Server) (write func([]byte), end func() string) {
	r, w := io.Pipe()
	answer := make(chan string, 1)
	go func() {
		post, err := http.NewRequest("POST", "http://"+s.AdminAddr().String()+"/debug/append", r)
		if err != nil {
			answer <- err.Error()
			return
		}
		post.Header.Set("Authorization", "Bearer "+testAdminToken)
		resp, err := http.DefaultClient.Do(post)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answer <- fmt.Sprint(resp.StatusCode, " ", string(b))
	}()
	return func(b []byte) {
			t.Helper()
			if _, err := w.Write(b); err != nil {
				t.Fatal(err)
			}
		}, func() string {
			w.Close()
			return <-answer
		}
}

func TestDirectErrors(t *testing.T) {
	s := directServer(t)
	f := func(body []byte, words string) {
		t.Helper()
		code, _, answer := s.ask(t, "POST", "/debug/append", string(body))
		if code != 400 || !strings.Contains(answer, words) {
			t.Errorf("%q: %d %s, want %q", body[:min(40, len(body))], code, answer, words)
		}
	}
	good := packed(nil, "trades", "1")
	f(packed(good, "", "1"), "entry 1: a room's name must have 1 to 256 bytes, not 0")
	f(packed(nil, strings.Repeat("x", 257), "1"), "not 257")
	f(packed(nil, "nowhere", "1"), `entry 0: room \"nowhere\": no pattern matches its name`)
	f(packed(nil, "unfed", "1"), "no route feeds it")
	f(packed(good, "trades", "{"), `entry 1: room \"trades\": the value is not valid JSON`)
	f(packed(nil, "trades", "\"\xff\""), "not valid JSON")
	f(good[:len(good)-1], "entry 0: the body ends within the entry: 12 bytes are left over")
	f(append(bytes.Clone(good), 0), "entry 1: the body ends within the entry: 1 bytes")
	f([]byte{0, 1, 'x', 0xff, 0xff, 0xff, 0xff}, "a value may have at most")
	if code, _, body := s.ask(t, "POST", "/debug/append", string(packed(nil, "bare", "\xff{"))); code != 200 {
		t.Errorf("binary: %d %s", code, body)
	}
	if code, _, body := s.ask(t, "POST", "/debug/append", ""); code != 200 || body != "{\"appended\":0}\n" {
		t.Errorf("nothing: %d %s", code, body)
	}
}

func FuzzCutEntry(f *testing.F) {
	f.Add(packed(packed(nil, "a", "1"), "b", ""))
	f.Add([]byte{0, 1})
	f.Fuzz(func(t *testing.T, p []byte) {
		end, err := wholeEntries(p)
		if end < 0 || end > len(p) {
			t.Fatalf("end %d of %d", end, len(p))
		}
		var again []byte
		for at := 0; at < end; {
			name, value, size, err := cutEntry(p[at:end])
			if err != nil || size == 0 {
				t.Fatalf("at %d: %d %v", at, size, err)
			}
			again = packed(again, string(name), string(value))
			at += size
		}
		if !bytes.Equal(again, p[:end]) {
			t.Fatalf("got %q from %q, %v", again, p, err)
		}
	})
}
