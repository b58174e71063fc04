package server

import (
	"cmp"
	"net/http"
	"strconv"

	"tapecast/server/admin"
)

type connectionsJSON struct {
	Connections   int64            `json:"connections"`
	Authenticated int64            `json:"authenticated"`
	Pending       int64            `json:"pending"`
	Subscriptions int64            `json:"subscriptions"`
	Wildcards     int64            `json:"wildcards"` // held by all connections together
	Loops         []loopJSON       `json:"loops"`
	Classes       map[string]int64 `json:"classes"` // rooms alive
	TopRooms      []roomJSON       `json:"topRooms"`
	Slowest       []memberJSON     `json:"slowest"`
	// Unanswered lists the loops and appenders that did not answer in time. Their members
	// are not in Slowest, and their rooms are not in TopRooms.
	Unanswered []string `json:"unanswered"`
}

type loopJSON struct {
	Connections   int64   `json:"connections"`
	Authenticated int64   `json:"authenticated"`
	Subscriptions int64   `json:"subscriptions"`
	Wildcards     int64   `json:"wildcards"`
	Blocked       int64   `json:"blocked"`
	Frames        uint64  `json:"framesSent"`
	Bytes         uint64  `json:"bytesSent"`
	Sends         uint64  `json:"sends"`
	Partial       uint64  `json:"partialSends"`
	LastPass      float64 `json:"lastPassMs"`
	MaxPass       float64 `json:"maxPassMs"`
}

type roomJSON struct {
	Room    string `json:"room"`
	Class   string `json:"class"`
	Members int    `json:"members"`
	Frames  uint64 `json:"frames"`
	Bytes   int64  `json:"bytes"`
}

type memberJSON struct {
	Conn    uint64 `json:"conn"`
	Client  string `json:"clientId"`
	Remote  string `json:"remote"`
	Room    string `json:"room"`
	Behind  uint64 `json:"behind"` // frames
	Blocked bool   `json:"blocked"`
}

// serveConnections answers /connections?n=20: totals, loops, rooms by class, the n rooms with the
// most members and the n members that lack the most. It waits up to twice loopWait for loops and
// appenders, and names those that do not answer.
func (s *Server) serveConnections(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(cmp.Or(r.URL.Query().Get("n"), "20"))
	if err != nil || n < 1 || n > 1000 {
		admin.Refuse(w, http.StatusBadRequest, "n must be a number from 1 to 1000")
		return
	}
	e := s.engine.Load()
	if e == nil {
		admin.Refuse(w, http.StatusServiceUnavailable, "the public port is not open yet")
		return
	}
	stats := e.Stats()
	out := connectionsJSON{
		Connections: stats.Connections, Authenticated: stats.Authenticated, Pending: s.limit.Pending.Load(),
		Subscriptions: stats.Members, Wildcards: stats.Wildcards,
		Loops: []loopJSON{}, Classes: map[string]int64{}, TopRooms: []roomJSON{}, Slowest: []memberJSON{},
		Unanswered: []string{},
	}
	for _, l := range stats.Loops {
		out.Loops = append(out.Loops, loopJSON{
			l.Connections, l.Authenticated, l.Members, l.Wildcards, l.Blocked, l.Frames, l.Bytes, l.Sends, l.Partial,
			l.LastPass.Seconds() * 1e3, l.MaxPass.Seconds() * 1e3,
		})
	}
	for _, p := range s.catalog.Patterns() {
		out.Classes[p.Class.Name] += p.Rooms()
	}
	top, late := s.table.TopRooms(n, loopWait)
	out.Unanswered = append(out.Unanswered, late...)
	for _, t := range top {
		out.TopRooms = append(out.TopRooms, roomJSON{t.Name, t.Class, t.Members, t.Frames, t.Bytes})
	}
	slowest, late := e.Slowest(n, loopWait)
	out.Unanswered = append(out.Unanswered, late...)
	for _, m := range slowest {
		out.Slowest = append(out.Slowest,
			memberJSON{m.Conn.ID(), s.handler.ClientID(m.Conn), m.Conn.Remote().String(), m.Room, m.Behind, m.Blocked})
	}
	admin.Answer(w, http.StatusOK, out)
}
