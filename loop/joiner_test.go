package loop

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"tapecast/loop/upgrade"
	"tapecast/rooms"
)

// joiner joins the rooms that the request's query names, and tells the client
// its name first: /?name,room,room…
type joiner struct {
	catalog *rooms.Catalog
	closed  chan int // if there is one
}

func (j joiner) Open(c *Conn, r *upgrade.Request) upgrade.Verdict {
	names := strings.Split(r.Query, ",")
	if r.Stream != "" { // its body says it all, a line each
		c.SetSession(new(session))
		for line := range strings.Lines(string(r.Body)) {
			j.Message(c, 1, []byte(strings.TrimSpace(line)))
		}
		return upgrade.Verdict{Marked: r.Query == "marked"}
	}
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
	said := func(list []Joined) []byte { return answerOf(verb, placed, list) }
	switch verb {
	case "join", "snap", "keys", "since", "rate":
		var refs []RoomRef
		for what := range strings.SplitSeq(rest, ",") {
			refs = append(refs, j.asked(c, verb, what))
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

// answerOf is the text of an answer: the verb, and how it went with each room and wildcard.
func answerOf(verb string, placed bool, list []Joined) []byte {
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

// asked is what a verb and "room", "room=key", "room=rate" or "room=position" ask for.
func (j joiner) asked(c *Conn, verb, what string) RoomRef {
	name, key, keyed := strings.Cut(what, "=")
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
		j.resumes(&ref, key)
	}
	return ref
}

// resumes adds to a request where to go on from: "@ms", "e1:0", "e1:0/key", and for rooms under a
// wildcard, whose name is then "wild:*>wild:a>wild:b", "e1:0+e1:5".
func (j joiner) resumes(ref *RoomRef, key string) {
	places, only, filtered := strings.Cut(key, "/")
	if filtered {
		ref.Keys = []string{only}
	}
	place, others, _ := strings.Cut(places, "+")
	if ms, timed := strings.CutPrefix(place, "@"); timed {
		ref.SinceTime, _ = strconv.ParseInt(ms, 10, 64)
		return
	}
	since := positionsOf(place)
	under, list, ok := strings.Cut(ref.Name, ">")
	if !ok {
		ref.Since = &since
		return
	}
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
}

func (joiner) Timer(c *Conn) { c.SendText([]byte("timer")) }

func (joiner) Admit(*Conn) bool { return true }

func (joiner) Flooded(c *Conn, what Pace) { c.loop.log.Warn("limited", "what", what) }

func (joiner) Payer(*Conn) rooms.Payer { return worldPays }

// worldPays is who pays for all connections of a world.
var worldPays = rooms.Payer{User: "payer", EmptyRooms: -1, RecallBytes: 1 << 30}

func (j joiner) Closed(_ *Conn, code int) {
	if j.closed != nil {
		j.closed <- code
	}
}
