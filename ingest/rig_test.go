package ingest

import (
	"bytes"
	"context"
	"encoding/binary"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/valyala/fastjson"

	"tapecast/ingest/route"
	"tapecast/rooms"
	"tapecast/rooms/testwait"
)

// rig is a Consumer with a room table of its own.
type rig struct {
	t       testing.TB
	brokers []string
	table   *rooms.Table
	catalog *rooms.Catalog
	c       *Consumer
	log     *logBuffer
}

// newRig compiles routes into rooms "all" (public, kept long), "all:*" and
// "own:{owner}", and makes a Consumer. start starts it.
func newRig(t testing.TB, brokers []string, cfg Config, routes ...route.Route) *rig {
	t.Helper()
	public := &rooms.Class{Name: "public", RetainBytes: 256 << 20, RetainAge: time.Hour}
	private := &rooms.Class{Name: "private", Owner: "{sub}", RetainBytes: 64 << 20, RetainAge: time.Hour}
	catalog, err := rooms.NewCatalog([]*rooms.Pattern{
		{Match: "all", Class: public}, {Match: "all:*", Class: public}, {Match: "own:{owner}", Class: private},
		{Match: "more", Class: public},
	})
	if err != nil {
		t.Fatal(err)
	}
	router := compiled(t, catalog, routes...)
	table, err := rooms.New(rooms.Config{Catalog: catalog, Feeds: router.Feeds()})
	if err != nil {
		t.Fatal(err)
	}
	table.Start()
	t.Cleanup(table.Stop)
	r := &rig{t: t, brokers: brokers, table: table, catalog: catalog, log: &logBuffer{}}
	cfg.Brokers = brokers
	cfg.Log = slogTo(r.log)
	if cfg.MetadataEvery == 0 {
		cfg.MetadataEvery = 200 * time.Millisecond
	}
	r.c = New(cfg, router, table)
	return r
}

func (r *rig) start() *rig {
	r.t.Helper()
	if err := r.c.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testwait.Patience)
		defer cancel()
		if err := r.c.Stop(ctx); err != nil {
			r.t.Error(err)
		}
		if r.t.Failed() {
			r.t.Logf("log:\n%s", r.log)
		}
	})
	return r
}

func (r *rig) ready() *rig {
	r.t.Helper()
	eventually(r.t, "ready", r.c.Ready)
	return r
}

// eventually waits for a condition, 30 s at most.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	testwait.Until(t, testwait.Patience, what, ok)
}

// member is a member of one room that collects its frames.
type member struct {
	t      testing.TB
	joined rooms.Positions
	room   *rooms.Room

	mu     sync.Mutex
	at     uint64
	frames []string // payloads
}

// join joins a room and waits for the seam.
func (r *rig) join(room string) *member {
	r.t.Helper()
	p, _, ok := r.catalog.Resolve(room)
	if !ok {
		r.t.Fatalf("no room %q", room)
	}
	m := &member{t: r.t}
	l := r.table.Listen(func(subs []*rooms.Sub) {
		for _, s := range subs {
			s.Take()
		}
	})
	done := make(chan struct{})
	j := &rooms.Join{Rooms: []rooms.Member{{Name: room, Pattern: p}}, Done: func(*rooms.Join) { close(done) }}
	r.table.Join(l, j)
	<-done
	if err := j.Rooms[0].Err; err != nil {
		r.t.Fatal(err)
	}
	m.room, m.at, m.joined = j.Rooms[0].Sub.Room(), j.Rooms[0].At, j.Rooms[0].Positions
	return m
}

// read collects the frames since the last call.
func (m *member) read() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	next, pieces, lagged := m.room.Cut(m.at, 1<<40, nil)
	if lagged {
		m.t.Fatal("retention has overtaken the test")
	}
	m.at = next
	for _, p := range pieces {
		m.frames = append(m.frames, textsOf(p.Bytes)...)
	}
	return m.frames
}

// textsOf returns the payloads of frames that lie back to back.
func textsOf(b []byte) (texts []string) {
	for len(b) > 0 {
		n, head := int(b[1]), 2
		switch n {
		case 126:
			n, head = int(binary.BigEndian.Uint16(b[2:])), 4
		case 127:
			n, head = int(binary.BigEndian.Uint64(b[2:])), 10
		}
		texts = append(texts, string(b[head:head+n]))
		b = b[head+n:]
	}
	return texts
}

// wait waits for n frames. More than n fail the test.
func (m *member) wait(n int) []string {
	m.t.Helper()
	var got []string
	all := func() bool { got = m.read(); return len(got) >= n }
	if !testwait.Holds(testwait.Patience, all) {
		m.t.Logf("missing: %v", missing(got, n))
	}
	if got = m.read(); len(got) != n {
		m.t.Fatalf("%d frames, want %d; the last: %.300s", len(got), n, last(got))
	}
	return got
}

// missing returns the first few numbers below n that no frame has.
func missing(frames []string, n int) (list []int) {
	seen := map[int]bool{}
	for _, f := range frames {
		seen[fastjson.GetInt([]byte(f), "data", "n")] = true
	}
	for i := range n {
		if !seen[i] && len(list) < 10 {
			list = append(list, i)
		}
	}
	return list
}

func last(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[len(s)-1]
}

// data returns the data of a frame, or the method of a notice.
func data(frame string) string {
	v, err := fastjson.Parse(frame)
	if err != nil {
		return "no JSON: " + frame
	}
	if d := v.Get("data"); d != nil {
		return d.String()
	}
	return string(v.GetStringBytes("method"))
}

func datas(frames []string) []string {
	out := make([]string, len(frames))
	for i, f := range frames {
		out[i] = data(f)
	}
	return out
}

// logBuffer keeps log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// slogTo returns a logger that writes to the buffer. With -v it writes debug lines too.
func slogTo(l *logBuffer) *slog.Logger {
	level := slog.LevelInfo
	if testing.Verbose() {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level}))
}

func (l *logBuffer) count(words string) int { return strings.Count(l.String(), words) }

// fake starts a kfake cluster.
func fake(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// checkNumbers checks that frames hold the numbers from up to to-1, each
// once, each partition in order and in one chain of prev.
func checkNumbers(t testing.TB, frames []string, from, to int) {
	t.Helper()
	seen := map[int]int{}
	prev := map[string]string{}
	order := map[string]int{}
	for _, f := range frames {
		v, err := fastjson.Parse(f)
		if err != nil {
			t.Fatalf("not JSON: %s", f)
		}
		if v.Exists("method") {
			t.Fatalf("a notice: %s", f)
		}
		n := v.GetInt("data", "n")
		seen[n]++
		part, _, _ := strings.Cut(string(v.GetStringBytes("pos")), ":")
		if was, ok := order[part]; ok && n <= was {
			t.Errorf("partition %s: %d after %d", part, n, was)
		}
		order[part] = n
		if p, ok := prev[part]; ok && string(v.GetStringBytes("prev")) != p {
			t.Errorf("partition %s: prev is %s, want %s", part, v.Get("prev"), p)
		}
		prev[part] = string(v.GetStringBytes("pos"))
	}
	for n := from; n < to; n++ {
		if seen[n] != 1 {
			t.Errorf("%d came %d times", n, seen[n])
		}
	}
	if len(seen) != to-from {
		t.Errorf("%d different numbers, want %d", len(seen), to-from)
	}
}

// freePort returns a port that is free now.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// compiled compiles routes without faults.
func compiled(t testing.TB, c *rooms.Catalog, routes ...route.Route) *route.Router {
	t.Helper()
	r, _, faults := route.Compile(routes, c)
	for _, f := range faults {
		t.Fatalf("route %d, %s: %s", f.Route, f.Field, f.Msg)
	}
	return r
}
