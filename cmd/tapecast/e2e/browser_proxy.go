package e2e

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// cutProxy is a TCP proxy before a gateway that cuts off its one client.
type cutProxy struct {
	addr string // where the client connects
	to   string

	mu sync.Mutex
	// refuses refuses each upgrade, as proxies do that know no WebSocket.
	refuses bool
	last    *link // the newest connection
	links   int   // how many there were
}

// link is a connection through a cutProxy.
type link struct {
	client, server net.Conn

	mu   sync.Mutex
	how  cutHow
	ends sync.Once
}

type cutHow int

const (
	notCut cutHow = iota
	cutClose
	cutReset
	cutSilent // nothing goes through any more, and neither end is told, also when the other one gives up
)

func newCutProxy(t testing.TB, to string) *cutProxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &cutProxy{addr: ln.Addr().String(), to: to}
	t.Cleanup(func() {
		ln.Close()
		if l := x.current(); l != nil {
			l.end()
		}
	})
	go func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			x.serve(client)
		}
	}()
	return x
}

func (x *cutProxy) serve(client net.Conn) {
	x.mu.Lock()
	to, refuses := x.to, x.refuses
	x.mu.Unlock()
	head, refused := []byte(nil), false
	if refuses {
		if head, refused = refuseUpgrade(client); refused {
			return
		}
	}
	server, err := net.DialTimeout("tcp", to, patience)
	if err != nil {
		client.Close()
		return
	}
	_, _ = server.Write(head)
	l := &link{client: client, server: server}
	x.mu.Lock()
	x.last, x.links = l, x.links+1
	x.mu.Unlock()
	go l.pump(server, client)
	go l.pump(client, server)
}

// refuseUpgrade answers a request for WebSocket. It returns what it has read of another one.
func refuseUpgrade(client net.Conn) (head []byte, refused bool) {
	head = make([]byte, 16<<10)
	n, err := client.Read(head)
	if head = head[:n]; err == nil && !bytes.Contains(head, []byte("websocket")) {
		return head, false
	}
	_, _ = io.WriteString(client, "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	client.Close()
	return nil, true
}

// refuse makes it refuse upgrades from now on.
func (x *cutProxy) refuse() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.refuses = true
}

// moveTo sends later connections to another server.
func (x *cutProxy) moveTo(to string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.to = to
}

func (x *cutProxy) current() *link {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.last
}

// count returns how many connections there were.
func (x *cutProxy) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.links
}

// cut ends the newest connection within its next bytes.
func (l *link) cut(how cutHow) {
	l.mu.Lock()
	l.how = how
	l.mu.Unlock()
	if how != cutSilent {
		time.AfterFunc(100*time.Millisecond, l.end) // in case no bytes come
	}
}

func (l *link) cutAs() cutHow {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.how
}

func (l *link) end() {
	l.ends.Do(func() {
		if c, ok := l.client.(*net.TCPConn); ok && l.cutAs() == cutReset {
			_ = c.SetLinger(0)
		}
		l.client.Close()
		l.server.Close()
	})
}

// pump carries bytes one way until the link is cut or an end closes.
func (l *link) pump(to, from net.Conn) {
	defer func() {
		if from == l.server && l.cutAs() == cutSilent {
			from.Close()
			return // the client is not told: its own end ends the link
		}
		l.end()
	}()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		how := l.cutAs()
		if how == notCut {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
			continue
		}
		_, _ = to.Write(buf[:rand.IntN(n+1)])
		if how == cutSilent {
			_, _ = io.Copy(io.Discard, from)
		}
		return
	}
}
