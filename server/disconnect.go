package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"tapecast/loop"
	"tapecast/server/admin"
	"tapecast/server/auth/revoked"
	"tapecast/server/jsontext"
)

// maxDisconnect bounds a body: a jti of 8 KiB, escaped.
const maxDisconnect = 64 << 10

// disconnection is a request of POST /disconnect, as the record that it is about.
type disconnection struct {
	key, value string
	revoke     bool
}

// disconnectedJSON is the answer.
type disconnectedJSON struct {
	// Connections is how many connections this node had that were asked for.
	Connections int `json:"connections"`
	// Topic and the rest name the record of the revocation.
	Topic     string `json:"topic,omitempty"`
	Partition *int32 `json:"partition,omitempty"`
	Offset    *int64 `json:"offset,omitempty"`
	// Unanswered lists the loops that did not answer in time. They close theirs later.
	Unanswered []string `json:"unanswered,omitempty"`
}

// closedByOperator is the reason in the close frame.
const closedByOperator = "closed by an operator"

// serveDisconnect answers POST /disconnect: {"user"} or {"jti"} or {"all":true}, "before", "reason",
// "revoke". It closes these connections of this node. With "revoke" it first produces the record that
// revokes them on all nodes, and closes nothing if Kafka does not store that.
func (s *Server) serveDisconnect(w http.ResponseWriter, r *http.Request) {
	in, err := readDisconnection(json.NewDecoder(http.MaxBytesReader(w, r.Body, maxDisconnect)))
	if err != nil {
		if big := new(http.MaxBytesError); errors.As(err, &big) {
			s.gate.Refuse(w, r, admin.Body, http.StatusRequestEntityTooLarge, "the body is longer than %d bytes",
				big.Limit)
			return
		}
		admin.Refuse(w, http.StatusBadRequest, `cannot read the body: %v; send {"user":"…"}, {"jti":"…"} or `+
			`{"all":true}, and with it "before" (ms since 1970), "reason" or "revoke"`, err)
		return
	}
	defer admin.KeepConn(r.Context())()
	admin.GiveTime(w, 0, admin.WriteTime) // the body is complete: from now on the time is ours
	e, only := s.engine.Load(), (*revoked.List)(nil)
	if only, err = s.handler.Revoked().Only(in.key, in.value); err != nil {
		admin.Refuse(w, http.StatusBadRequest, "this revokes nothing: %v", err)
		return
	}
	switch {
	case e == nil:
		admin.Refuse(w, http.StatusServiceUnavailable, "the public port is not open yet")
		return
	case in.revoke && s.cfg.Auth.Revocations == "":
		admin.Refuse(w, http.StatusConflict, "nothing was done: there is no topic of revocations; set "+
			"auth.revocations, or leave out revoke")
		return
	}
	var out disconnectedJSON
	out.Connections = s.connectionsOf(e, only)
	if in.revoke {
		partition, offset, err := s.revoke(r.Context(), in)
		if err != nil {
			s.log.Warn("cannot revoke", "key", jsontext.Quoted(in.key), "error", err)
			admin.Refuse(w, http.StatusBadGateway, "nothing was closed: Kafka did not take the record: %v", err)
			return
		}
		out.Topic, out.Partition, out.Offset = s.cfg.Auth.Revocations, &partition, &offset
	}
	out.Unanswered = e.Each(func(c *loop.Conn) { s.handler.CloseIf(c, only, closedByOperator) }, loopWait)
	s.noteDisconnection(r, in, &out)
	admin.Answer(w, http.StatusOK, &out)
}

// connectionsOf returns how many connections there are that a list revokes.
func (s *Server) connectionsOf(e *loop.Engine, only *revoked.List) int {
	var mu sync.Mutex
	found := map[uint64]struct{}{} // a connection may come twice
	e.Each(func(c *loop.Conn) {
		if s.handler.IsOf(c, only) {
			mu.Lock()
			found[c.ID()] = struct{}{}
			mu.Unlock()
		}
	}, loopWait)
	mu.Lock()
	defer mu.Unlock()
	return len(found)
}

// revoke produces the record and waits until it is stored.
func (s *Server) revoke(ctx context.Context, in disconnection) (partition int32, offset int64, err error) {
	p, err := s.publisher.get(s.brokers, s.cfg.Kafka.Librdkafka)
	if err != nil {
		return 0, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.publisher.within, 10*time.Second))
	defer cancel()
	return p.Publish(ctx, s.cfg.Auth.Revocations, in.key, []byte(in.value), nil)
}

func (s *Server) noteDisconnection(r *http.Request, in disconnection, out *disconnectedJSON) {
	key := jsontext.Quoted(in.key)
	s.log.Info("disconnected", "key", key, "value", jsontext.Quoted(in.value), "revoke", in.revoke,
		"connections", out.Connections, "remote", r.RemoteAddr)
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		s.security.Note("internal port: disconnect", from.Addr(), slog.Any("remote", from), slog.String("key", key),
			slog.Bool("revoke", in.revoke), slog.Int("connections", out.Connections))
	}
}

// readDisconnection reads a body. Each member must occur once, by its exact name.
func readDisconnection(d *json.Decoder) (in disconnection, err error) {
	var user, jti string
	var all bool
	value := struct {
		Before *int64 `json:"before,omitempty"`
		Reason string `json:"reason,omitempty"`
	}{}
	named := 0
	err = visitMembers(d, func(name string) error {
		switch name {
		case "user":
			named++
			return readText(d, &user)
		case "jti":
			named++
			return readText(d, &jti)
		case "all":
			named++
			return d.Decode(&all)
		case "before":
			return d.Decode(&value.Before)
		case "reason":
			return readText(d, &value.Reason)
		case "revoke":
			return d.Decode(&in.revoke)
		}
		return errors.New("it is an unknown field")
	})
	if err != nil {
		return in, err
	}
	if _, err := d.Token(); err != io.EOF {
		return in, errors.New("it continues after the object")
	}
	switch {
	case named != 1 || user == "" && jti == "" && !all:
		return in, errors.New("it must name one of user, jti and all")
	case user != "":
		in.key = revoked.KeyOfUser(user)
	case jti != "":
		in.key = revoked.KeyOfToken(jti)
	default:
		in.key = revoked.KeyOfAll
	}
	text, err := json.Marshal(value)
	in.value = string(text)
	return in, err
}
