package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"

	"github.com/VictoriaMetrics/metrics"
)

// peer is a broadcast server under way.
type peer interface {
	// publish sends a value to the members of the room, or to every client if the library
	// has no rooms. One goroutine at a time calls it. It may keep the value.
	publish(room string, value []byte) error
	// stop ends the server and all connections.
	stop()
}

// kind is a library. start starts its server on an address, and returns the URL for clients.
type kind struct {
	name     string
	protocol string // of job.Speech
	start    func(listen string) (p peer, url string, err error)
}

var kinds = []kind{
	{"nats", "nats", startNATS},
	{"centrifuge", "centrifuge", startCentrifuge},
	{"gorilla", "plain", startGorilla},
	{"gws", "plain", startGWS},
	{"nbio", "plain", startNbio},
}

// address is where a server listens, as the line that it prints.
type address struct {
	URL   string `json:"url"`
	Admin string `json:"admin"`
}

// serve runs a peer until its input ends. It prints its address.
func serve(name, listen, admin string, in io.Reader, out io.Writer) error {
	at := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if at < 0 {
		return fmt.Errorf("no peer is called %q: there are nats, centrifuge, gorilla, gws and nbio", name)
	}
	p, url, err := kinds[at].start(listen)
	if err != nil {
		return fmt.Errorf("cannot start %s: %w", name, err)
	}
	defer p.stop()
	ln, err := net.Listen("tcp", admin)
	if err != nil {
		return fmt.Errorf("cannot listen on --admin %s: %w", admin, err)
	}
	srv := &http.Server{Handler: adminHandler(p)}
	go func() { _ = srv.Serve(ln) }() // ends with Close
	defer func() { _ = srv.Close() }()
	if err := json.NewEncoder(out).Encode(address{url, "http://" + ln.Addr().String()}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// adminHandler serves /metrics and /debug/append as the gateway does.
func adminHandler(p peer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) { metrics.WriteProcessMetrics(w) })
	mux.HandleFunc("POST /debug/append", func(w http.ResponseWriter, r *http.Request) {
		n, err := appendAll(p, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "{\"appended\":%d}\n", n)
	})
	return mux
}

// maxValue bounds the value of one entry.
const maxValue = 16 << 20

// appendAll publishes each entry of body. An entry is, big-endian, the length of a room's
// name in 2 bytes, the name, the length of a value in 4 bytes, and the value.
func appendAll(p peer, body io.Reader) (n int64, err error) {
	in := bufio.NewReaderSize(body, 64<<10)
	var head [4]byte
	for {
		if _, err := io.ReadFull(in, head[:2]); err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, fmt.Errorf("entry %d is cut off: %w", n, err)
		}
		room := make([]byte, binary.BigEndian.Uint16(head[:]))
		if _, err := io.ReadFull(in, room); err != nil {
			return n, fmt.Errorf("entry %d is cut off: %w", n, err)
		}
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return n, fmt.Errorf("entry %d is cut off: %w", n, err)
		}
		size := binary.BigEndian.Uint32(head[:])
		if size > maxValue {
			return n, fmt.Errorf("entry %d has a value of %d bytes, more than %d", n, size, maxValue)
		}
		value := make([]byte, size)
		if _, err := io.ReadFull(in, value); err != nil {
			return n, fmt.Errorf("entry %d is cut off: %w", n, err)
		}
		if err := p.publish(string(room), value); err != nil {
			return n, fmt.Errorf("cannot publish entry %d: %w", n, err)
		}
		n++
	}
}

// crowd are the connections of a server whose library has no broadcasts of its own.
type crowd[C comparable] struct {
	mu    sync.Mutex
	conns map[C]struct{}
}

func (p *crowd[C]) add(c C) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		p.conns = map[C]struct{}{}
	}
	p.conns[c] = struct{}{}
}

func (p *crowd[C]) drop(c C) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *crowd[C]) each(do func(C)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		do(c)
	}
}

// listenHTTP serves h at /ws with net/http, for libraries that take connections over from it.
func listenHTTP(listen string, h http.HandlerFunc) (srv *http.Server, url string, err error) {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, "", err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", h)
	srv = &http.Server{Handler: mux}
	go func() {
		if err := srv.Serve(ln); err != http.ErrServerClosed {
			fmt.Fprintln(os.Stderr, "peers: "+err.Error())
		}
	}()
	return srv, "ws://" + ln.Addr().String() + "/ws", nil
}
