package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/gorilla/websocket"
	"github.com/lesismal/nbio/nbhttp"
	nbws "github.com/lesismal/nbio/nbhttp/websocket"
	"github.com/lxzan/gws"
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

// centrifugePeer is a node with the broker in memory. The library encodes a publication
// once for all clients. Each client has a queue and a goroutine, and up to 16 queued
// messages go into one frame. All of that is left as it is.
type centrifugePeer struct {
	node *centrifuge.Node
	srv  *http.Server
}

func startCentrifuge(listen string) (peer, string, error) {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return nil, "", err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}}, nil // every client may connect
	})
	node.OnConnect(func(c *centrifuge.Client) {
		c.OnSubscribe(func(_ centrifuge.SubscribeEvent, cb centrifuge.SubscribeCallback) {
			cb(centrifuge.SubscribeReply{}, nil)
		})
	})
	if err := node.Run(); err != nil {
		return nil, "", err
	}
	// The write buffers come from a pool, as the library's guide to memory advises. The rest is default.
	ws := centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{UseWriteBufferPool: true})
	srv, url, err := listenHTTP(listen, ws.ServeHTTP)
	if err != nil {
		return nil, "", err
	}
	return &centrifugePeer{node, srv}, url, nil
}

func (p *centrifugePeer) publish(room string, value []byte) error {
	_, err := p.node.Publish(room, value)
	return err
}

func (p *centrifugePeer) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = p.node.Shutdown(ctx) // the process ends anyway
	_ = p.srv.Close()
}

// gorillaPeer follows the library's chat example. Each connection has a goroutine that
// reads, one that writes, and a queue between it and the hub. The hub ends a connection
// whose queue is full. The queue holds prepared messages, not bytes: they are made for
// broadcasts, and their frame is built once. The example's queue of 256 would cut clients
// off after a short stall at rates that the server can do, so this queue is longer.
type gorillaPeer struct {
	srv *http.Server
	up  websocket.Upgrader
	mu  sync.Mutex
	out map[chan *websocket.PreparedMessage]*websocket.Conn
}

const gorillaQueue = 4096

func startGorilla(listen string) (peer, string, error) {
	p := &gorillaPeer{out: map[chan *websocket.PreparedMessage]*websocket.Conn{}}
	// The buffers are shared, as the documentation advises for many connections.
	p.up.WriteBufferPool = &sync.Pool{}
	p.up.ReadBufferSize = 1024
	p.up.CheckOrigin = func(*http.Request) bool { return true }
	var url string
	var err error
	p.srv, url, err = listenHTTP(listen, p.serve)
	return p, url, err
}

func (p *gorillaPeer) serve(w http.ResponseWriter, r *http.Request) {
	c, err := p.up.Upgrade(w, r, nil)
	if err != nil {
		return // the library has answered
	}
	out := make(chan *websocket.PreparedMessage, gorillaQueue)
	p.mu.Lock()
	p.out[out] = c
	p.mu.Unlock()
	go func() {
		for m := range out {
			if c.WritePreparedMessage(m) != nil {
				_ = c.Close() // ends the reader, which removes the connection
			}
		}
		_ = c.Close()
	}()
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			p.drop(out)
			return
		}
	}
}

func (p *gorillaPeer) drop(out chan *websocket.PreparedMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropLocked(out)
}

func (p *gorillaPeer) dropLocked(out chan *websocket.PreparedMessage) {
	if _, ok := p.out[out]; ok {
		delete(p.out, out)
		close(out)
	}
}

func (p *gorillaPeer) publish(_ string, value []byte) error {
	m, err := websocket.NewPreparedMessage(websocket.TextMessage, value)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for out, c := range p.out {
		select {
		case out <- m:
		default:
			p.dropLocked(out)
			_ = c.Close()
		}
	}
	return nil
}

func (p *gorillaPeer) stop() {
	_ = p.srv.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for out, c := range p.out {
		p.dropLocked(out)
		_ = c.Close()
	}
}

// gwsPeer uses the library's Broadcaster, as its documentation advises. The frame is built
// once. Each connection has a write queue, which starts a goroutine to send when something
// is in it.
type gwsPeer struct {
	gws.BuiltinEventHandler
	srv *http.Server
	crowd[*gws.Conn]
}

func startGWS(listen string) (peer, string, error) {
	p := &gwsPeer{}
	up := gws.NewUpgrader(p, &gws.ServerOption{})
	var url string
	var err error
	p.srv, url, err = listenHTTP(listen, func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r)
		if err != nil {
			return // the library has answered
		}
		go c.ReadLoop() // frees the request's memory, as the documentation advises
	})
	return p, url, err
}

// OnOpen is an event of the library.
func (p *gwsPeer) OnOpen(c *gws.Conn) { p.add(c) }

// OnClose is an event of the library.
func (p *gwsPeer) OnClose(c *gws.Conn, _ error) { p.drop(c) }

func (p *gwsPeer) publish(_ string, value []byte) error {
	b := gws.NewBroadcaster(gws.OpcodeText, value)
	p.each(func(c *gws.Conn) { _ = b.Broadcast(c) }) // OnClose handles a connection that has ended
	return b.Close()
}

func (p *gwsPeer) stop() {
	_ = p.srv.Close()
	p.each(func(c *gws.Conn) { _ = c.NetConn().Close() })
}

// nbioPeer uses nbio as its documentation advises for many connections: its own
// non-blocking engine, whose WriteMessage never waits. A poller keeps and sends what a
// socket does not take, so a loop over all connections is enough. The library has no
// prepared messages.
type nbioPeer struct {
	engine *nbhttp.Engine
	crowd[*nbws.Conn]
}

func startNbio(listen string) (peer, string, error) {
	// With port 0, the engine does not return the port that it got.
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, "", err
	}
	addr := ln.Addr().String()
	_ = ln.Close() // the engine takes the port again at once

	p := &nbioPeer{}
	up := nbws.NewUpgrader()
	up.KeepaliveTime = time.Hour // clients that only listen are alive
	up.CheckOrigin = func(*http.Request) bool { return true }
	up.OnOpen(p.add)
	up.OnClose(func(c *nbws.Conn, _ error) { p.drop(c) })
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		if _, err := up.Upgrade(w, r, nil); err != nil {
			fmt.Fprintln(os.Stderr, "peers: cannot upgrade: "+err.Error())
		}
	})
	p.engine = nbhttp.NewEngine(nbhttp.Config{
		Network: "tcp", Addrs: []string{addr}, Handler: mux, IOMod: nbhttp.IOModNonBlocking,
		ReleaseWebsocketPayload: true,
	})
	if err := p.engine.Start(); err != nil {
		return nil, "", err
	}
	return p, "ws://" + addr + "/ws", nil
}

func (p *nbioPeer) publish(_ string, value []byte) error {
	p.each(func(c *nbws.Conn) {
		_ = c.WriteMessage(nbws.TextMessage, value) // OnClose handles a connection that has ended
	})
	return nil
}

func (p *nbioPeer) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = p.engine.Shutdown(ctx) // the process ends anyway
}
