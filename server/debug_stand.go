package server

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"tapecast/server/admin"
)

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
