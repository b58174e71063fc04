package main

import (
	"net/http"
	"sync"

	"github.com/gorilla/websocket"
)

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
