package scenario

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/gobwas/ws"
)

// patience is how long a client may take for what it must do. Only a fault lasts that long.
const patience = 10 * time.Second

// gateway is a listener that does what a scenario says.
type gateway struct {
	net.Listener
	arrived chan net.Conn
}

func listen() (*gateway, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gateway{l, make(chan net.Conn, 64)}
	go func() {
		defer close(g.arrived)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			g.arrived <- c
		}
	}()
	return g, nil
}

// next returns the next connection that a client opens.
func (g *gateway) next() (net.Conn, error) {
	select {
	case c := <-g.arrived:
		return c, c.SetDeadline(time.Now().Add(patience))
	case <-time.After(patience):
		return nil, errors.New("the client does not connect")
	}
}

// link is one connection that was upgraded.
type link struct {
	net.Conn
	in    chan map[string]any // the client's messages; closed when the connection is
	pongs chan struct{}
	id    any // of the last request that was got
}

func upgrade(c net.Conn) (*link, error) {
	u := ws.Upgrader{Protocol: func(p []byte) bool { return string(p) == "tapecast.v1" }}
	if _, err := u.Upgrade(c); err != nil {
		return nil, fmt.Errorf("the client asks for no WebSocket: %w", err)
	}
	l := &link{Conn: c, in: make(chan map[string]any, 64), pongs: make(chan struct{}, 64)}
	go l.read()
	return l, nil
}

func (l *link) read() {
	defer close(l.pongs)
	defer close(l.in)
	for {
		f, err := ws.ReadFrame(l)
		if err != nil {
			return
		}
		f = ws.UnmaskFrameInPlace(f)
		switch f.Header.OpCode {
		case ws.OpText:
			var m map[string]any
			if err := json.Unmarshal(f.Payload, &m); err != nil {
				m = map[string]any{"bad": string(f.Payload)}
			}
			l.in <- m
		case ws.OpPong:
			l.pongs <- struct{}{}
		case ws.OpClose:
			return
		}
	}
}

func (l *link) send(m any) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return ws.WriteFrame(l, ws.NewTextFrame(b))
}

// barrier returns when the client has read everything that was sent to it.
func (l *link) barrier() error {
	if err := ws.WriteFrame(l, ws.NewPingFrame(nil)); err != nil {
		return fmt.Errorf("the client has closed the connection: %w", err)
	}
	select {
	case _, ok := <-l.pongs:
		if !ok {
			return errors.New("the client has closed the connection")
		}
		return nil
	case <-time.After(patience):
		return errors.New("the client does not answer a ping")
	}
}

// get returns the client's next message.
func (l *link) get() (map[string]any, error) {
	select {
	case m, ok := <-l.in:
		if !ok {
			return nil, errors.New("the client has closed the connection")
		}
		return m, nil
	case <-time.After(patience):
		return nil, errors.New("the client sends nothing")
	}
}

// gone returns when the client has closed the connection.
func (l *link) gone() error {
	for {
		select {
		case m, ok := <-l.in:
			if !ok {
				return l.Close()
			}
			return fmt.Errorf("the client sends %v, where it must close the connection", m)
		case <-time.After(patience):
			return errors.New("the client does not close the connection")
		}
	}
}

// refuse answers a request for a connection with an HTTP status.
func refuse(c net.Conn, status int, retryAfter float64) error {
	defer c.Close()
	if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
		return err
	}
	after := ""
	if retryAfter > 0 {
		after = fmt.Sprintf("Retry-After: %g\r\n", retryAfter)
	}
	_, err := fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nConnection: close\r\n%sContent-Length: 0\r\n\r\n",
		status, http.StatusText(status), after)
	return err
}
