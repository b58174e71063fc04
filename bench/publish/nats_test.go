package publish

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"tapecast/rooms/testwait"
)

// natsServer takes one connection. It answers pings, and refuses the user "bad" and the room "bad". It returns
// its address, and the messages of the connection when that has ended.
func natsServer(t *testing.T) (addr string, got <-chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	out := make(chan string, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		var all strings.Builder
		defer func() { out <- all.String() }()
		in := bufio.NewReader(c)
		_, _ = io.WriteString(c, `INFO {"server_id":"x","version":"2.0.0","proto":1,"max_payload":1048576}`+"\r\n")
		for {
			line, err := in.ReadString('\n')
			var room string
			var n int
			switch {
			case err != nil:
				return
			case strings.HasPrefix(line, "PING"):
				_, _ = io.WriteString(c, "PONG\r\n")
			case strings.HasPrefix(line, "CONNECT") && strings.Contains(line, `"user":"bad"`):
				_, _ = io.WriteString(c, "-ERR 'Authorization Violation'\r\n")
				return
			case strings.HasPrefix(line, "PUB "):
				if _, err := fmt.Sscanf(line, "PUB %s %d", &room, &n); err != nil {
					return
				}
				value := make([]byte, n+2)
				if _, err := io.ReadFull(in, value); err != nil {
					return
				}
				fmt.Fprintf(&all, "%s=%s ", room, value[:n])
				if room == "bad" {
					_, _ = io.WriteString(c, "-ERR 'Permissions Violation for Publish to \"bad\"'\r\n")
				}
			}
		}
	}()
	return ln.Addr().String(), out
}

func TestNATSSink(t *testing.T) {
	addr, got := natsServer(t)
	s, err := NewNATS(t.Context(), "nats://"+addr)
	if err != nil {
		t.Fatal(err)
	}
	for k := range 3 {
		value := fmt.Appendf(nil, "%d", k)
		if err := s.Put("a", nil, value); err != nil {
			t.Fatal(err)
		}
		value[0] = 'x' // Put has a copy
		if _, err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.Close(t.Context()); n != 3 || err != nil {
		t.Fatalf("%d taken, %v", n, err)
	}
	if all := <-got; all != "a=0 a=1 a=2 " {
		t.Fatalf("the server got %q", all)
	}
}

// What the server says is the error, at the start and later.
func TestNATSSinkRefused(t *testing.T) {
	addr, _ := natsServer(t)
	if _, err := NewNATS(t.Context(), "nats://bad:x@"+addr); err == nil ||
		!strings.Contains(err.Error(), "Authorization Violation") {
		t.Errorf("at the start: %v", err)
	}
	addr, _ = natsServer(t)
	s, err := NewNATS(t.Context(), "nats://"+addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put("bad", nil, []byte("1")); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, testwait.Patience, "the refusal is known", func() bool {
		_, err = s.Flush()
		return err != nil
	})
	if !strings.Contains(strings.ToLower(err.Error()), "permissions violation") {
		t.Errorf("later: %v", err)
	}
	if _, err := s.Close(t.Context()); err == nil {
		t.Error("all was taken")
	}
}
