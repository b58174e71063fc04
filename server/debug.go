package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"tapecast/rooms"
	"tapecast/server/admin"
	"tapecast/server/jsontext"
)

// placeholder is a part of a room template that stands for a field.
var placeholder = regexp.MustCompile(`\{[^}]*\}`)

// direct appends records where ingest would, past Kafka, so that a measurement does not include a
// broker. POST /debug/append takes a stream of entries. An entry is the length of a room's name in
// 2 bytes, the name, the length of a value in 4 bytes, and the value. Lengths are big-endian. The
// entries of one read of the body become one batch. The answer comes at the end: {"appended":N}.
//
// A record gets partition 0, and an offset that continues the topic's progress. Nothing else may
// feed the topic meanwhile: of two records with the same offset the rooms keep the first.
type direct struct {
	server   *Server
	listener *rooms.Listener
	kinds    map[*rooms.Pattern]directKind

	mu    sync.Mutex // records of one partition must go through one batch, in order
	batch *rooms.Batch
	next  map[*rooms.Feed]int64 // offset of its next record
	moved map[*rooms.Feed]bool  // whether it has records since the last send
}

type directKind struct {
	typ    string
	binary bool
}

type directRoom struct {
	pattern *rooms.Pattern
	kind    directKind
}

const (
	directRead  = 64 << 10 // bytes of a read
	directEntry = 16 << 20 // the longest value
)

func (d *direct) init(s *Server) {
	d.server, d.kinds = s, map[*rooms.Pattern]directKind{}
	for _, r := range s.routes {
		for _, name := range r.Rooms {
			p, _, ok := s.catalog.Resolve(placeholder.ReplaceAllString(name, "x"))
			if _, have := d.kinds[p]; !ok || have {
				continue
			}
			k := directKind{typ: r.Type, binary: r.Format == "binary"}
			if k.typ == "" {
				k.typ = r.Topic
			}
			d.kinds[p] = k
		}
	}
	d.batch = s.table.NewBatch()
	d.next, d.moved = map[*rooms.Feed]int64{}, map[*rooms.Feed]bool{}
	d.listener = s.table.Listen(func([]*rooms.Sub) {})
}

// directIdle is how long a stream may pause, or its answer take. Its sender has the token.
const directIdle = 2 * time.Minute

// patientBody is a body that may take any time as long as it never pauses for long.
type patientBody struct {
	io.ReadCloser
	w http.ResponseWriter
}

// Read moves the deadlines before it reads.
func (b patientBody) Read(p []byte) (int, error) {
	admin.GiveTime(b.w, directIdle, directIdle)
	return b.ReadCloser.Read(p)
}

func (d *direct) serve(w http.ResponseWriter, r *http.Request) {
	defer admin.KeepConn(r.Context())()
	r.Body = patientBody{r.Body, w}
	n, err := d.stream(r)
	if err != nil {
		admin.Refuse(w, http.StatusBadRequest, "entry %d: %v", n, err)
		return
	}
	admin.Answer(w, http.StatusOK, struct {
		Appended int `json:"appended"`
	}{n})
}

// stream appends a body. After an error, n is the number of the entry at fault.
func (d *direct) stream(r *http.Request) (n int, err error) {
	known := map[string]*directRoom{}
	buf, have := make([]byte, directRead), 0
	for {
		if have == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
		got, rerr := r.Body.Read(buf[have:])
		have += got
		used, entries, err := d.append(r, known, buf[:have])
		if n += entries; err != nil {
			return n, err
		}
		have = copy(buf, buf[used:have])
		if rerr == nil {
			continue
		}
		if rerr != io.EOF {
			return n, fmt.Errorf("the body broke off: %w", rerr)
		}
		if have > 0 {
			return n, fmt.Errorf("the body ends within the entry: %d bytes are left over", have)
		}
		return n, nil
	}
}

// append appends the complete entries of p as one batch.
func (d *direct) append(r *http.Request, known map[string]*directRoom, p []byte) (used, n int, err error) {
	end, fault := wholeEntries(p)
	values := slices.Clone(p[:end]) // tapes take the values later, when p is already reused
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now().UnixMilli()
	for used < end && err == nil {
		name, value, size, _ := cutEntry(values[used:])
		if err = d.add(r, known, name, value, now); err == nil {
			used += size
			n++
		}
	}
	if err == nil {
		err = fault
	}
	return used, n, errors.Join(err, d.send(r))
}

// wholeEntries returns the length of the complete entries at the beginning of p, and what
// is wrong with the entry after them.
func wholeEntries(p []byte) (end int, err error) {
	for {
		_, _, size, err := cutEntry(p[end:])
		if size == 0 || err != nil {
			return end, err
		}
		end += size
	}
}

// cutEntry returns the first entry of p. If it is not complete, size is 0.
func cutEntry(p []byte) (name, value []byte, size int, err error) {
	if len(p) < 2 {
		return nil, nil, 0, nil
	}
	n := int(binary.BigEndian.Uint16(p))
	if n == 0 || n > rooms.MaxName {
		return nil, nil, 0, fmt.Errorf("a room's name must have 1 to %d bytes, not %d", rooms.MaxName, n)
	}
	at := 2 + n + 4
	if len(p) < at {
		return nil, nil, 0, nil
	}
	v := int(binary.BigEndian.Uint32(p[2+n:]))
	if v > directEntry {
		return nil, nil, 0, fmt.Errorf("a value may have at most %d bytes, not %d", directEntry, v)
	}
	if len(p) < at+v {
		return nil, nil, 0, nil
	}
	return p[2 : 2+n], p[at : at+v : at+v], at + v, nil
}

func (d *direct) add(r *http.Request, known map[string]*directRoom, name, value []byte, now int64) error {
	room := known[string(name)]
	if room == nil {
		var err error
		if room, err = d.find(r, string(name)); err != nil {
			return fmt.Errorf("room %s: %w", jsontext.Quoted(name), err)
		}
		known[string(name)] = room
	}
	if !room.kind.binary && !jsontext.Valid(value) {
		return fmt.Errorf("room %s: the value is not valid JSON", jsontext.Quoted(name))
	}
	feed := room.pattern.Feed
	offset := d.next[feed]
	d.next[feed] = offset + 1
	d.moved[feed] = true
	d.batch.Add(&rooms.Record{
		Pattern: room.pattern, Room: name, Type: room.kind.typ,
		Offset: offset, Time: now, Value: value, Binary: room.kind.binary,
	})
	return nil
}

func (d *direct) send(r *http.Request) error {
	for feed := range d.moved {
		d.batch.Progress(feed, 0, d.next[feed]-1)
	}
	clear(d.moved)
	return d.batch.Send(r.Context())
}

// find resolves a room, and where its topic stands.
func (d *direct) find(r *http.Request, name string) (*directRoom, error) {
	p, _, ok := d.server.catalog.Resolve(name)
	switch {
	case !ok:
		return nil, errors.New("no pattern matches its name")
	case p.Feed == nil:
		return nil, errors.New("no route feeds it")
	case p.Feed.Epoch() == "":
		return nil, fmt.Errorf("the topic %q is not open yet: wait for /readyz", p.Feed.Topic())
	}
	room := &directRoom{pattern: p, kind: d.kinds[p]}
	at, err := d.progress(r, name, room)
	if err != nil {
		return nil, err
	}
	d.next[p.Feed] = max(d.next[p.Feed], at+1)
	return room, nil
}

// progress asks how far partition 0 has been read, by joining the room for a moment.
func (d *direct) progress(r *http.Request, name string, room *directRoom) (int64, error) {
	done := make(chan *rooms.Join, 1)
	d.server.table.Join(d.listener, &rooms.Join{
		Rooms: []rooms.Member{{Name: name, Pattern: room.pattern}},
		Done:  func(j *rooms.Join) { done <- j },
	})
	select {
	case j := <-done:
		member := &j.Rooms[0]
		if member.Err != nil {
			return 0, member.Err
		}
		d.server.table.Leave(member.Sub)
		if offsets := member.Positions.Offsets; len(offsets) > 0 {
			return offsets[0].Offset, nil
		}
		return 0, fmt.Errorf("the topic %q has not been read yet: wait for /readyz", room.pattern.Feed.Topic())
	case <-r.Context().Done():
		return 0, r.Context().Err()
	}
}

// standMost bounds how long a test may make a goroutine stand still.
const standMost = time.Minute

// serveStand answers POST /debug/stand?who=loop&for=2s. It makes the first goroutine of a kind
// stand still, so that a test sees what the watchdog does. Like /debug/append it exists only with
// admin.direct, and needs the admin token.
func (s *Server) serveStand(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	d, err := time.ParseDuration(q.Get("for"))
	if err != nil || d <= 0 || d > standMost {
		admin.Refuse(w, http.StatusBadRequest, "for is a time of at most %s, such as 2s", standMost)
		return
	}
	e, c := s.engine.Load(), s.consumer.Load()
	if e == nil || c == nil {
		admin.Refuse(w, http.StatusServiceUnavailable, "the gateway has not started yet")
		return
	}
	kinds := map[string]func(time.Duration){
		"loop": e.Stand, "poller": func(d time.Duration) { err = e.StandPoller(d) },
		"acceptor": func(d time.Duration) { err = e.StandAcceptor(d) }, "tls": e.StandTLS,
		"appender": s.table.Stand, "reader": c.Stand, "recaller": c.StandRecaller, "times": c.StandTimes,
	}
	stand := kinds[q.Get("who")]
	if stand == nil {
		admin.Refuse(w, http.StatusBadRequest, "who is one of %s", strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
		return
	}
	if stand(d); err != nil {
		admin.Refuse(w, http.StatusInternalServerError, "cannot make it stand still: %v", err)
		return
	}
	admin.Answer(w, http.StatusOK, struct {
		Stands string `json:"stands"`
	}{q.Get("who")})
}
