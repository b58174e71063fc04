package main

import (
	"cmp"
	"errors"
	"net/netip"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// natsPeer is a NATS server in this process. Broadcasts need no further code: a send takes
// everything that is pending for a connection, and the publisher's own goroutine writes to
// the subscribers that it has just served.
type natsPeer struct {
	srv *server.Server
	pub *nats.Conn
}

func startNATS(listen string) (peer, string, error) {
	at, err := netip.ParseAddrPort(listen)
	if err != nil {
		return nil, "", err
	}
	port := cmp.Or(int(at.Port()), server.RANDOM_PORT)
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT,
		Websocket: server.WebsocketOpts{Host: at.Addr().String(), Port: port, NoTLS: true},
		NoLog:     true, NoSigs: true,
	})
	if err != nil {
		return nil, "", err
	}
	go srv.Start()
	p := &natsPeer{srv: srv}
	if !srv.ReadyForConnections(10 * time.Second) {
		p.stop()
		return nil, "", errors.New("it is not ready after 10 s")
	}
	if p.pub, err = nats.Connect("", nats.InProcessServer(srv)); err != nil {
		p.stop()
		return nil, "", err
	}
	return p, srv.WebsocketURL() + "/", nil
}

func (p *natsPeer) publish(room string, value []byte) error { return p.pub.Publish(room, value) }

func (p *natsPeer) stop() {
	if p.pub != nil {
		p.pub.Close()
	}
	p.srv.Shutdown()
	p.srv.WaitForShutdown()
}
