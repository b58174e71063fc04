package main

import (
	"net/http"

	"github.com/lxzan/gws"
)

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
