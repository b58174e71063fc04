package loop

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tapecast/loop/upgrade"
	"tapecast/rooms"
	"tapecast/rooms/testwait"
)

// joiner joins the rooms that the request's query names, and tells the client
// its name first: /?name,room,room…
type joiner struct {
	catalog *rooms.Catalog
	closed  chan int // if there is one
}

func (j joiner) Open(c *Conn, r *upgrade.Request) upgrade.Verdict {
	names := strings.Split(r.Query, ",")
	c.SetSession(new(session))
	c.SendText([]byte("hello " + names[0]))
	var refs []RoomRef
	for _, name := range names[1:] {
		if name == "" {
			continue
		}
		p, _, ok := j.catalog.Resolve(name)
		if !ok {
			return upgrade.Verdict{Status: 404}
		}
		refs = append(refs, RoomRef{Name: strings.Clone(name), Pattern: p})
	}
	c.Join(refs, func([]Joined) []byte { return []byte("joined") })
	return upgrade.Verdict{}
}

// session is of a connection: how many rooms it has joined by wildcards, and may,
// where that is bounded.
type session struct{ most, has atomic.Int64 }

func (s *session) reserve(n int) error {
	most := int(s.most.Load())
	if has := int(s.has.Add(int64(n))); most > 0 && has > most {
		s.has.Add(-int64(n))
		return &LimitError{Name: "rooms", Most: most, Asked: n}
	}
	return nil
}

// pattern is that of a room, or of a wildcard's rooms.
func (j joiner) pattern(name string) *rooms.Pattern {
	if prefix, wildcard := strings.CutSuffix(name, "*"); wildcard {
		p, _ := j.catalog.Under(prefix)
		return p
	}
	p, _, _ := j.catalog.Resolve(name)
	return p
}

// Message does what the text says, or sends it back.
func (j joiner) Message(c *Conn, _ byte, p []byte) {
	verb, rest, _ := strings.Cut(string(p), " ")
	verb, placed := strings.CutPrefix(verb, "+") // the answer is to say the positions of wildcards
	said := func(list []Joined) []byte {
		out := []byte(verb)
		one := func(x Joined) {
			out = x.Positions.AppendJSON(append(append(out, ' '), x.Name...))
			if x.Err != nil {
				out = append(out, " "+x.Err.Error()...)
			} else if x.Already {
				out = append(out, " already"...)
				if x.Keys != nil || x.Every > 0 {
					out = fmt.Appendf(out, " %v %v", x.Keys, x.Every)
				}
			} else if x.TooOld != nil {
				out = append(out, " but "+x.TooOld.Error()...)
			}
		}
		for _, x := range list {
			if !x.Wildcard || x.Err != nil {
				one(x)
				continue
			}
			if out = fmt.Appendf(out, " %s(", x.Name); placed {
				out = append(x.Positions.AppendJSON(out), ' ')
			}
			out = fmt.Appendf(out, "%v %v", x.Full, x.Chain)
			if x.TooOld != nil {
				out = append(out, " but "+x.TooOld.Error()...)
			}
			if x.Already {
				out = append(out, " already"...)
			}
			for _, y := range x.Rooms {
				one(y)
			}
			out = append(out, ')')
		}
		return out
	}
	switch verb {
	case "join", "snap", "keys", "since", "rate":
		var refs []RoomRef
		for name := range strings.SplitSeq(rest, ",") {
			name, key, keyed := strings.Cut(name, "=")
			p := j.pattern(name)
			ref := RoomRef{Name: name, Pattern: p, Snapshot: verb != "join"}
			if ref.Wildcard = strings.HasSuffix(name, "*"); ref.Wildcard {
				ref.Reserve = c.Session().(*session).reserve
			}
			if keyed && verb == "keys" {
				ref.Keys = []string{key}
			}
			if keyed && verb == "rate" {
				rate, _ := strconv.Atoi(key)
				ref.Every, ref.Snapshot = time.Second/time.Duration(rate), false
			}
			if keyed && verb == "since" {
				places, only, filtered := strings.Cut(key, "/")
				if filtered {
					ref.Keys = []string{only}
				}
				place, others, _ := strings.Cut(places, "+")
				if ms, timed := strings.CutPrefix(place, "@"); timed {
					ref.SinceTime, _ = strconv.ParseInt(ms, 10, 64)
					refs = append(refs, ref)
					continue
				}
				since := positionsOf(place)
				if under, list, ok := strings.Cut(name, ">"); ok { // of rooms under a wildcard
					ref.Name, ref.Wildcard = under, true
					ref.Pattern = j.pattern(under)
					ref.SinceByRoom = map[string]rooms.Positions{}
					for room := range strings.SplitSeq(list, ">") {
						if at := positionsOf(place); room == under {
							ref.Since = &at
						} else {
							ref.SinceByRoom[room] = at
						}
						place, others, _ = strings.Cut(others, "+")
					}
				} else {
					ref.Since = &since
				}
			}
			refs = append(refs, ref)
		}
		c.Join(refs, said)
	case "leave":
		c.Leave(strings.Split(rest, ","), said)
	case "list":
		c.List(said)
	case "most":
		most, _ := strconv.ParseInt(rest, 10, 64)
		c.Session().(*session).most.Store(most)
	case "close":
		c.Close(4321, rest)
	case "auth":
		c.SetAuthenticated(rest == "positions")
	case "timer":
		d, _ := time.ParseDuration(rest)
		c.SetTimeout(d)
	case "at":
		d, _ := time.ParseDuration(rest)
		c.SetTimer(c.loop.engine.cfg.wall().Add(d))
	case "flood":
		for range 100 {
			c.SendText(make([]byte, 4<<10))
		}
	default:
		c.SendText(p)
	}
}

func (joiner) Timer(c *Conn) { c.SendText([]byte("timer")) }

func (joiner) Admit(*Conn) bool { return true }

func (joiner) Flooded(c *Conn, what Pace) { c.loop.log.Warn("limited", "what", what) }

func (joiner) User(*Conn) string { return "" }

func (j joiner) Closed(_ *Conn, code int) {
	if j.closed != nil {
		j.closed <- code
	}
}

// world is a table with one feed, an engine over it, and a publisher.
type world struct {
	t       testing.TB
	table   *rooms.Table
	catalog *rooms.Catalog
	feed    *rooms.Feed
	engine  *Engine
	closed  chan int
	trust   *tls.Config // of the clients, where cfg.TLS is set

	mu     sync.Mutex
	batch  *rooms.Batch
	off    int64
	stamp  int64                     // Kafka's timestamp of what is published next, ms; 0: one of 1970
	all    map[string][]rooms.Record // by room: what a topic would still hold
	away   bool                      // recalls are answered with "not now"
	fickle int                       // so is one of so many; 0: none
	low    int64                     // the first offset that the topic still has
	ahead  int64                     // it has so many more, that were not read here yet
	hold   chan struct{}             // a recall takes one when it is asked, and one before it answers; nil: none
}

func newWorld(t testing.TB, cfg Config, classes ...*rooms.Class) *world {
	t.Helper()
	return newWorldOf(t, 1, cfg, classes...)
}

// newWorldOf is newWorld with a topic of so many partitions.
func newWorldOf(t testing.TB, partitions int, cfg Config, classes ...*rooms.Class) *world {
	t.Helper()
	w := &world{t: t, feed: rooms.NewFeed("topic"), all: map[string][]rooms.Record{}}
	w.feed.Open("e1", int32(partitions))
	all := &rooms.Class{Name: "stream"}
	last := &rooms.Class{Name: "market", Conflate: true, Snapshot: true}
	own := &rooms.Class{Name: "private", Owner: "{sub}", Lag: rooms.LagClose, RetainAge: 30 * time.Second}
	for _, c := range classes {
		switch c.Name {
		case "stream":
			all = c
		case "private":
			own = c
		case "market":
			last = c
		}
	}
	patterns := []*rooms.Pattern{
		{Match: "all", Class: all, Feed: w.feed},
		{Match: "side", Class: all, Feed: w.feed},
		{Match: "own:{owner}", Class: own, Feed: w.feed},
		{Match: "last", Class: last, Feed: w.feed},
		{Match: "bare1", Class: all, Feed: w.feed, Bare: true},
		{Match: "bare2", Class: all, Feed: w.feed, Bare: true},
		{Match: "wild:*", Class: all, Feed: w.feed},
		{Match: "last:*", Class: last, Feed: w.feed},
		{Match: "bare:*", Class: all, Feed: w.feed, Bare: true},
		{Match: "few:*", Class: all, Feed: w.feed, MaxRooms: 1},
		{Match: "book", Class: all, Feed: w.feed, Keyframed: true},
		{Match: "deep:*", Class: all, Feed: w.feed, Keyframed: true},
	}
	var err error
	if w.catalog, err = rooms.NewCatalog(patterns); err != nil {
		t.Fatal(err)
	}
	if w.table, err = rooms.New(rooms.Config{Catalog: w.catalog, Feeds: []*rooms.Feed{w.feed}}); err != nil {
		t.Fatal(err)
	}
	w.table.Start()
	t.Cleanup(w.table.Stop)
	w.batch = w.table.NewBatch()
	w.closed = make(chan int, 1<<16)
	cfg.Table, cfg.Handler = w.table, joiner{w.catalog, w.closed}
	if cfg.Recall == nil {
		cfg.Recall = w.recall
	}
	w.engine = start(t, cfg)
	if cfg.TLS != nil {
		w.trust = trusting(cfg.TLS)
	}
	return w
}

// settle waits until all that was published is on the tapes.
func (w *world) settle() { w.table.TopRooms(1, testwait.Patience) }

// publish appends one record to each of the rooms, all of the same value.
func (w *world) publish(value string, names ...string) { w.publishKey("", value, names...) }

// publishKey does so for a key; without a value, its tombstone.
func (w *world) publishKey(key, value string, names ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range names {
		p, _, _ := w.catalog.Resolve(name)
		r := rooms.Record{Pattern: p, Room: []byte(name), Type: "t", Key: []byte(key), HasKey: key != "", Offset: w.off,
			Time: max(w.stamp, 1), Value: []byte(value)}
		if value == "" {
			r.Value = nil
		}
		r.Keyframe = p.Keyframed && key == "full"
		w.batch.Add(&r)
		w.all[name] = append(w.all[name], r)
		w.off++
	}
	w.batch.Progress(w.feed, 0, w.off-1)
	if err := w.batch.Send(context.Background()); err != nil {
		w.t.Error(err)
	}
}

func (w *world) dial(names ...string) (net.Conn, *bufio.Reader) {
	conn, err := net.Dial("tcp", w.engine.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	if w.trust != nil {
		conn = tls.Client(conn, w.trust)
	}
	fmt.Fprintf(conn, "GET /ws?%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", strings.Join(names, ","))
	conn.SetDeadline(time.Now().Add(testwait.Patience))
	br := bufio.NewReader(conn)
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			w.t.Fatalf("no answer to the upgrade: %v", err)
		}
		if line == "\r\n" {
			return conn, br
		}
	}
}

// tcp is the socket below a connection.
func tcp(conn net.Conn) *net.TCPConn {
	if c, ok := conn.(*tls.Conn); ok {
		conn = c.NetConn()
	}
	return conn.(*net.TCPConn)
}

// await waits for a condition that another goroutine brings about.
func (w *world) await(cond func() bool) {
	w.t.Helper()
	testwait.Until(w.t, testwait.Patience, "what the test waits for", cond)
}
