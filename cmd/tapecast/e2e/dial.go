package e2e

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

// dialing is how a client connects.
type dialing struct {
	query        string // "?token=…"
	header       http.Header
	subprotocols []string
	from         net.IP // source address; nil: any
	sums         bool
	deflate      bool          // offer permessage-deflate
	buffer       int           // SO_RCVBUF; 0: the kernel's
	to           string        // another address than the gateway's, such as a proxy's
	within       time.Duration // for the handshake; 0: patience
	inside       *namespace    // a network of its own; nil: the machine's
	heard        func([]byte)  // gets each message, before it is taken apart; nil: nobody does
	secure       *tls.Config   // wss; nil: ws
}

func dial(t testing.TB, g *gateway, d dialing) *client {
	t.Helper()
	c, err := tryDial(t, g, d)
	if err != nil {
		t.Fatalf("cannot connect: %v", err)
	}
	return c
}

func tryDial(t testing.TB, g *gateway, d dialing) (*client, error) {
	dialer := ws.Dialer{
		Timeout:   cmp.Or(d.within, patience),
		Protocols: d.subprotocols,
		Header:    ws.HandshakeHeaderHTTP(d.header),
		TLSConfig: d.secure,
		NetDial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			nd := net.Dialer{}
			if d.from != nil {
				nd.LocalAddr = &net.TCPAddr{IP: d.from}
			}
			if d.buffer > 0 {
				nd.Control = func(_, _ string, c syscall.RawConn) (err error) {
					cerr := c.Control(func(fd uintptr) {
						err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET,
							unix.SO_RCVBUF, d.buffer)
					})
					return errors.Join(cerr, err)
				}
			}
			if d.inside != nil {
				return d.inside.dial(ctx, &nd, network, addr)
			}
			return nd.DialContext(ctx, network, addr)
		},
	}
	if d.deflate {
		dialer.Extensions = []httphead.Option{httphead.NewOption("permessage-deflate",
			map[string]string{"client_max_window_bits": ""})}
	}
	scheme := "ws://"
	if d.secure != nil {
		scheme = "wss://"
	}
	conn, br, agreed, err := dialer.Dial(context.Background(), scheme+cmp.Or(d.to, g.public)+"/ws"+d.query)
	if err != nil {
		return nil, err
	}
	if br == nil {
		br = bufio.NewReaderSize(conn, 32<<10)
	}
	c := &client{t: t, name: conn.LocalAddr().String(), conn: conn, sums: d.sums, deflate: len(agreed.Extensions) > 0,
		heard:   d.heard,
		rooms:   map[string]*room{},
		replies: map[string]reply{}, methods: map[string]string{}}
	c.news.L = &c.mu
	if d.within == 0 { // who sets it comes again and again, and closes each connection
		t.Cleanup(func() { conn.Close() })
	}
	go c.read(br)
	return c, nil
}

// join connects with a token, and waits until the gateway has joined its own rooms.
func join(t testing.TB, g *gateway, user string) *client {
	t.Helper()
	c := dial(t, g, dialing{query: "?token=" + g.token(user)})
	c.name += " of " + user
	c.notice("auto_subscribed")
	return c
}
