package server

import (
	"net/http"
	"time"
)

// standMost bounds for how long a test may make something stand.
const standMost = time.Minute

// serveStand answers POST /debug/stand?who=loop&for=2s: it makes the first loop,
// poller, appender or reader stand, so that a test sees what watches them. Like
// /debug/append it exists with admin.direct only, and wants the token of what writes.
func (s *Server) serveStand(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	d, err := time.ParseDuration(q.Get("for"))
	if err != nil || d <= 0 || d > standMost {
		refuse(w, http.StatusBadRequest, "for is a time of at most %s, such as 2s", standMost)
		return
	}
	e, c := s.engine.Load(), s.consumer.Load()
	if e == nil || c == nil {
		refuse(w, http.StatusServiceUnavailable, "the gateway has not started yet")
		return
	}
	switch q.Get("who") {
	case "loop":
		e.Stand(d)
	case "poller":
		err = e.StandPoller(d)
	case "appender":
		s.table.Stand(d)
	case "reader":
		c.Stand(d)
	default:
		refuse(w, http.StatusBadRequest, "who is one of loop, poller, appender, reader")
		return
	}
	if err != nil {
		refuse(w, http.StatusInternalServerError, "cannot make it stand: %v", err)
		return
	}
	answer(w, http.StatusOK, struct {
		Stands string `json:"stands"`
	}{q.Get("who")})
}
