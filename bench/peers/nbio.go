package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"
)

// nbioPeer uses nbio as its documentation advises for many connections: its own
// non-blocking engine, whose WriteMessage never waits. A poller keeps and sends what a
// socket does not take, so a loop over all connections is enough. The library has no
// prepared messages.
type nbioPeer struct {
	engine *nbhttp.Engine
	crowd[*websocket.Conn]
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
	up := websocket.NewUpgrader()
	up.KeepaliveTime = time.Hour // clients that only listen are alive
	up.CheckOrigin = func(*http.Request) bool { return true }
	up.OnOpen(p.add)
	up.OnClose(func(c *websocket.Conn, _ error) { p.drop(c) })
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
	p.each(func(c *websocket.Conn) {
		_ = c.WriteMessage(websocket.TextMessage, value) // OnClose handles a connection that has ended
	})
	return nil
}

func (p *nbioPeer) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = p.engine.Shutdown(ctx) // the process ends anyway
}
