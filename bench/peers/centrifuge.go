package main

import (
	"context"
	"net/http"
	"time"

	"github.com/centrifugal/centrifuge"
)

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
