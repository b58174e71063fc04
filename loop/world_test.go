package loop

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"tapecast/rooms"
	"tapecast/rooms/testwait"
)

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
		{Match: "unfed", Class: all},
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
	cfg.Recall = w.paid(cfg.Recall)
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
