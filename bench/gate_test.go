package bench

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/VictoriaMetrics/metrics"
	"github.com/gobwas/ws"
	"github.com/golang-jwt/jwt/v5"

	"tapecast/bench/job"
	"tapecast/bench/proto"
)

// gate is a small gateway. It speaks enough of the protocol for the bench's clients, and does
// with messages what a test sets.
type gate struct {
	t      *testing.T
	ln     net.Listener
	admin  *httptest.Server
	secret string
	bare   bool
	direct bool
	wrap   func(net.Conn) net.Conn // nil: plain
	// edit returns what a member gets in place of a message: nothing, another frame or several
	// frames. nil: the message.
	edit func(c *gateConn, n int64, frame []byte) [][]byte
	// forgets has edit asked for what is sent again too.
	forgets bool
	// favourite sends each message to the same member first. Otherwise members take turns.
	favourite bool
	turn      int

	deaf    bool                // it answers an unsubscribe, and goes on sending
	refuse  int                 // handshakes to refuse, of users that were in before
	tape    map[string][][]byte // what rooms were sent, for clients that resume
	known   map[string]bool
	mu      sync.Mutex
	conns   map[*gateConn]bool
	offsets map[string]int64
	closes  int // closing handshakes seen
	pings   int // ping frames seen: what is counted as limited
	health  string
}

type gateConn struct {
	net.Conn
	user  string
	rooms []string
	n     int // in order of joining
	held  []byte
}

func newGate(t *testing.T, secret string) *gate {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{t: t, ln: ln, secret: secret, direct: true, conns: map[*gateConn]bool{}, offsets: map[string]int64{},
		tape: map[string][][]byte{}, known: map[string]bool{}}
	g.health = "degraded"
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		metrics.WriteProcessMetrics(w)
		g.mu.Lock()
		defer g.mu.Unlock()
		fmt.Fprintf(w, "tapecast_connections{state=\"open a b\"} %d\n", len(g.conns))
		fmt.Fprintf(w, "tapecast_limited_total{limit=\"control_frames\"} %d\n", g.pings)
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		fmt.Fprintf(w, `{"status":%q}`, g.health)
	})
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"status":"alive"}`)
	})
	mux.HandleFunc("POST /debug/append", g.append)
	g.admin = httptest.NewServer(mux)
	go g.accept()
	t.Cleanup(func() {
		_ = ln.Close()
		g.admin.CloseClientConnections()
		g.admin.Close()
		g.mu.Lock()
		defer g.mu.Unlock()
		for c := range g.conns {
			_ = c.Close()
		}
	})
	return g
}

func (g *gate) target() Target {
	return Target{URL: "ws://" + g.ln.Addr().String() + "/ws", Admin: g.admin.URL, Keys: job.Keys{Secret: g.secret},
		Direct: true}
}

func (g *gate) accept() {
	for {
		c, err := g.ln.Accept()
		if err != nil {
			return
		}
		g.mu.Lock()
		wrap := g.wrap
		g.mu.Unlock()
		if wrap != nil {
			c = wrap(c)
		}
		go g.serve(&gateConn{Conn: c})
	}
}

func (g *gate) serve(c *gateConn) {
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	req, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	if g.secret != "" {
		var claims jwt.RegisteredClaims
		raw := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
		if _, err := jwt.ParseWithClaims(raw, &claims,
			func(*jwt.Token) (any, error) { return []byte(g.secret), nil }); err != nil {
			_, _ = io.WriteString(c, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\nbad token")
			return
		}
		c.user = claims.Subject
	}
	g.mu.Lock()
	refused := g.known[c.user] && g.refuse > 0
	if refused {
		g.refuse--
	}
	g.known[c.user] = true
	g.mu.Unlock()
	if refused {
		_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
		return
	}
	_, _ = c.Write(proto.AppendServerFrame(proto.AppendAccept(nil, req.Header.Get("Sec-WebSocket-Key")), proto.OpText,
		[]byte(`{"jsonrpc":"2.0","method":"authenticated","params":{"userId":"`+c.user+`"}}`)))
	if req.URL.Query().Get("join") != "manual" {
		g.enter(c, []string{"prices", "orders:" + c.user, "user:" + c.user, "portfolio:" + c.user, "notifications:" +
			c.user}, nil)
	}
	for {
		op, p, err := readClientFrame(in)
		if err != nil {
			break
		}
		if op == proto.OpClose {
			g.mu.Lock()
			g.closes++
			g.mu.Unlock()
			_, _ = c.Write(proto.AppendServerFrame(nil, proto.OpClose, p))
			break
		}
		if op == proto.OpPing {
			g.mu.Lock()
			g.pings++
			g.mu.Unlock()
		}
		var m clientRequest
		if op == proto.OpText && json.Unmarshal(p, &m) == nil {
			g.request(c, &m)
		}
	}
	g.mu.Lock()
	delete(g.conns, c)
	g.mu.Unlock()
}

func (g *gate) request(c *gateConn, m *clientRequest) {
	switch p := m.Params; {
	case len(p.Join) > 0:
		_, _ = c.Write(proto.AppendServerFrame(nil, proto.OpText, []byte(`{"jsonrpc":"2.0","id":1,"result":{}}`)))
		g.enter(c, p.Join, p.Since)
	case m.Method == "ping":
		_, _ = c.Write(proto.AppendServerFrame(nil, proto.OpText,
			fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"result":{"pong":1}}`, m.ID)))
	case m.Method == "subscribe":
		g.mu.Lock()
		defer g.mu.Unlock()
		c.rooms = append(c.rooms, p.Rooms...)
		g.conns[c] = true
		g.answer(c, m, "joined")
		g.catchUp(c, p.Rooms, p.Since)
	case m.Method == "unsubscribe":
		g.mu.Lock()
		defer g.mu.Unlock()
		if !g.deaf {
			c.rooms = slices.DeleteFunc(c.rooms, func(r string) bool { return slices.Contains(p.Rooms, r) })
		}
		g.answer(c, m, "left")
	}
}

func (g *gate) answer(c *gateConn, m *clientRequest, status string) {
	var list []string
	for _, r := range m.Params.Rooms {
		list = append(list, fmt.Sprintf(`{"room":%q,"status":%q,"chain":true,"positions":{"epoch":"e","0":%d}}`,
			r, status, 1000+g.offsets[r]-1))
	}
	_, _ = c.Write(proto.AppendServerFrame(nil, proto.OpText,
		fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"result":{"rooms":[%s]}}`, m.ID, strings.Join(list, ","))))
}

func (g *gate) enter(c *gateConn, rooms []string, since map[string]map[string]any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.rooms, c.n = rooms, len(g.conns)
	g.conns[c] = true
	at := map[string]map[string]any{}
	for _, r := range rooms {
		at[r] = map[string]any{"epoch": "e", "0": 1000 + g.offsets[r] - 1}
		if p, ok := since[r]; ok {
			at[r] = p
		}
	}
	b, _ := json.Marshal(at)
	_, _ = c.Write(proto.AppendServerFrame(nil, proto.OpText,
		fmt.Appendf(nil, `{"jsonrpc":"2.0","method":"auto_subscribed","params":{"positions":%s}}`, b)))
	g.catchUp(c, rooms, since)
}

// catchUp sends what came after the positions that a client names.
func (g *gate) catchUp(c *gateConn, rooms []string, since map[string]map[string]any) {
	for _, r := range rooms {
		if at, ok := since[r]["0"].(float64); ok {
			for n := int(at) - 999; n < len(g.tape[r]); n++ {
				if b := g.tape[r][n]; !g.forgets || g.edit(c, int64(n), b) != nil {
					_, _ = c.Write(b)
				}
			}
		}
	}
}

// enveloped wraps a value as the gateway does.
func enveloped(room string, value []byte, n int64) []byte {
	prev := ""
	if n > 0 {
		prev = fmt.Sprintf(`,"prev":"0:%d"`, 999+n)
	}
	return fmt.Appendf(nil, `{"room":%q,"type":"price_update","pos":"0:%d"%s,"ts":1699123456789,"data":%s}`, room,
		1000+n, prev, value)
}

// send gives a message to the members of a room.
func (g *gate) send(room string, value []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	off, n := g.offsets[room], job.ParseNumber(value)
	if at := len(value) - job.StampSize; at > 0 && string(value[at:at+len(`,"@":`)]) == `,"@":` {
		n = job.ParseNumber(value[at:])
	}
	g.offsets[room]++
	frame := value
	if !g.bare {
		frame = enveloped(room, value, off)
	}
	b := proto.AppendServerFrame(nil, proto.OpText, frame)
	g.tape[room] = append(g.tape[room], b)
	for _, c := range g.order() {
		for _, r := range c.rooms {
			if r != room {
				continue
			}
			out := [][]byte{b}
			if g.edit != nil {
				out = g.edit(c, n, b)
			}
			for _, b := range out {
				_, _ = c.Write(b)
			}
		}
	}
}

// order returns the members in the order of sends.
func (g *gate) order() []*gateConn {
	out := slices.SortedFunc(maps.Keys(g.conns), func(a, b *gateConn) int { return a.n - b.n })
	if len(out) == 0 || g.favourite {
		return out
	}
	g.turn++
	k := g.turn % len(out)
	return slices.Concat(out[k:], out[:k])
}

// append serves POST /debug/append.
func (g *gate) append(w http.ResponseWriter, r *http.Request) {
	if !g.direct {
		http.NotFound(w, r)
		return
	}
	in, n := bufio.NewReader(r.Body), 0
	for {
		var l [4]byte
		if _, err := io.ReadFull(in, l[:2]); err != nil {
			break
		}
		room := make([]byte, binary.BigEndian.Uint16(l[:2]))
		_, err1 := io.ReadFull(in, room)
		_, err2 := io.ReadFull(in, l[:])
		value := make([]byte, binary.BigEndian.Uint32(l[:]))
		_, err3 := io.ReadFull(in, value)
		if err1 != nil || err2 != nil || err3 != nil || string(room) == "nowhere" {
			http.Error(w, fmt.Sprintf(`{"error":"entry %d: no room"}`, n), http.StatusBadRequest)
			return
		}
		g.send(string(room), value)
		n++
	}
	fmt.Fprintf(w, `{"appended":%d}`, n)
}

// clientRequest is a request of a client, with the members that a gate answers.
type clientRequest struct {
	Method string
	ID     int
	Params struct {
		Join, Rooms []string
		Since       map[string]map[string]any
	}
}

// readClientFrame reads a client's frame and unmasks it.
func readClientFrame(in io.Reader) (op byte, p []byte, err error) {
	f, err := ws.ReadFrame(in)
	if err == nil && !f.Header.Masked {
		err = fmt.Errorf("an unmasked frame")
	}
	return byte(f.Header.OpCode), ws.UnmaskFrameInPlace(f).Payload, err
}
