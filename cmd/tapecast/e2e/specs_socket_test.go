package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

const socketSpecConfig = `
server: {listen: "127.0.0.1:0", drain: 1s, ping_every: 200ms}
auth: {secret: "an end-to-end test's own secret: 32+", leeway: 1s}
limits: {rooms_per_wildcard: 2}
rooms:
  - {match: "desk:*", class: stream}
  - {match: "deals:*", class: stream}
  - {match: "quotes:*", class: market}
auto_join: ["desk:1"]
ingest:
  routes:
    - {topic: deals, rooms: ["deals:{s}"], type: deal}
    - {topic: quotes, rooms: ["quotes:{s}"], key: "{k}", type: quote}
    - {topic: desks, rooms: ["desk:{@key}"], type: desk_update}
allow:
  "desk:*": {role: desk}
`

// socketSpec holds what goes over sockets against /asyncapi.json.
type socketSpec struct {
	*specification
	g       *gateway
	client  map[string]*jsonschema.Schema // by name, what a client sends
	gateway map[string]*jsonschema.Schema // what the gateway sends

	mu   sync.Mutex
	seen map[string]int
}

// TestSocketAsSpecified: each message that /asyncapi.json documents is sent or seen, each that is seen is
// exactly one of those, and their examples are true.
func TestSocketAsSpecified(t *testing.T) {
	t.Parallel()
	k := fakeCluster(t)
	for _, topic := range []string{"deals", "quotes", "desks"} {
		k.topic(t, topic, 1)
	}
	g := start(t, config(k, socketSpecConfig))
	s := newSocketSpec(t, g)
	s.examples()
	w := k.producer(t)
	s.identities()
	s.rooms(k, w)
	s.limits(w)
	streamEnds := s.stream()
	bye := s.dial("?token=" + claimed("7", jwt.MapClaims{"role": "desk"}))
	bye.notice("auto_subscribed")
	g.cmd.Process.Signal(syscall.SIGTERM)
	bye.notice("server_shutdown")
	g.ended(patience, 0)
	<-streamEnds
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, list := range []map[string]*jsonschema.Schema{s.client, s.gateway} {
		for name := range list {
			if s.seen[name] == 0 {
				t.Errorf("%s is documented and was never seen", name)
			}
		}
	}
}

func newSocketSpec(t *testing.T, g *gateway) *socketSpec {
	s := &socketSpec{specification: g.specification(t, "asyncapi.json"), g: g, seen: map[string]int{},
		client: map[string]*jsonschema.Schema{}, gateway: map[string]*jsonschema.Schema{}}
	requests := map[string]bool{}
	for _, op := range s.object(s.doc, "operations") {
		if s.at(op, "action") != "receive" {
			continue
		}
		for _, m := range op.(map[string]any)["messages"].([]any) {
			ref := m.(map[string]any)["$ref"].(string)
			requests[ref[strings.LastIndexByte(ref, '/')+1:]] = true
		}
	}
	for name := range s.object(s.doc, "components", "messages") {
		sch := s.schema("components", "messages", name, "payload")
		if requests[name] {
			s.client[name] = sch
		} else {
			s.gateway[name] = sch
		}
	}
	return s
}

// fits returns the names of the messages that a text may be.
func fits(list map[string]*jsonschema.Schema, text []byte) (names []string) {
	for name, sch := range list {
		if valid(sch, text) == nil {
			names = append(names, name)
		}
	}
	return names
}

// hears takes a message that came, or one that is about to be sent.
func (s *socketSpec) hears(list map[string]*jsonschema.Schema, text []byte) {
	names := fits(list, text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(names) != 1 {
		s.t.Errorf("%s is any of %q", text, names)
		return
	}
	s.seen[names[0]]++
}

// stream reads a stream until the gateway ends it.
func (s *socketSpec) stream() (ended <-chan struct{}) {
	s.t.Helper()
	body := encoded(map[string]any{"token": tokenFor("45", time.Hour), "rooms": []string{"deals:A"}})
	s.hears(s.client, body)
	resp, err := http.Post("http://"+s.g.public+"/stream", "text/plain", bytes.NewReader(body))
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("no stream: %v, %v", resp, err)
	}
	done, events := make(chan struct{}), bufio.NewScanner(resp.Body)
	events.Scan()
	go func() {
		defer close(done)
		defer resp.Body.Close()
		for ok := true; ok; ok = events.Scan() {
			if text, is := strings.CutPrefix(events.Text(), "data: "); is {
				s.hears(s.gateway, []byte(text))
			}
		}
	}()
	return done
}

func (s *socketSpec) dial(query string) *client {
	return dial(s.t, s.g, dialing{query: query, heard: func(text []byte) { s.hears(s.gateway, text) }})
}

// ask sends a request, which must be documented, and waits for its answer.
func (s *socketSpec) ask(c *client, method string, params any) reply {
	s.t.Helper()
	s.hears(s.client, encoded(map[string]any{"method": method, "params": params, "id": 1}))
	return c.call(method, params)
}

// examples holds the examples of all messages against their schemas.
func (s *socketSpec) examples() {
	for name, m := range s.object(s.doc, "components", "messages") {
		list := s.gateway
		if s.client[name] != nil {
			list = s.client
		}
		examples, _ := m.(map[string]any)["examples"].([]any)
		if len(examples) == 0 {
			s.t.Errorf("%s has no example", name)
		}
		for _, e := range examples {
			if names := fits(list, encoded(s.at(e, "payload"))); !slices.Equal(names, []string{name}) {
				s.t.Errorf("an example of %s is any of %q", name, names)
			}
		}
	}
}

// identities: clients that authenticate, renew their tokens, lose rights, and are about to expire.
func (s *socketSpec) identities() {
	c := s.dial("")
	c.notice("auth_required")
	s.ask(c, "ping", nil) // refused: it must authenticate first
	c = s.dial("")
	s.ask(c, "authenticate", map[string]any{"token": claimed("42", jwt.MapClaims{"role": "desk"})})
	c.notice("auto_subscribed")
	s.ask(c, "authenticate", map[string]any{"token": claimed("42", nil)})
	c.notice("left")
	s.dial("?token=" + tokenFor("43", 3*time.Second)).notice("auth_expiring")
}

// rooms: memberships of every kind.
func (s *socketSpec) rooms(k *cluster, w *producer) {
	c := s.dial("?token=" + claimed("42", jwt.MapClaims{"role": "desk"}))
	c.notice("authenticated")
	put := func(topic, key, value string) { w.send(topic, 0, []byte(key), []byte(value)) }
	rooms := func(names ...string) map[string]any { return map[string]any{"rooms": names} }
	s.ask(c, "subscribe", rooms("deals:A", "quotes:Q", "nothing:at:all"))
	put("deals", "A", `{"s":"A"}`)
	put("quotes", "Q", `{"s":"Q","k":"1"}`)
	put("quotes", "Q", `{"s":"Q","k":"2"}`)
	c.await("both", func() bool { return len(c.rooms["deals:A"].frames) == 1 && len(c.rooms["quotes:Q"].frames) == 2 })
	c.notice("positions")
	s.ask(c, "list_subscriptions", nil)
	s.ask(c, "ping", map[string]any{})
	s.ask(c, "heartbeat", nil)
	s.ask(c, "subscribe", rooms("deals:A"))
	s.ask(c, "subscribe", []string{"deals:A"})
	s.ask(c, "subscribe", []string{"nothing:at:all"})
	s.ask(c, "unsubscribe", []string{"deals:A"})
	s.ask(c, "unsubscribe", rooms("quotes:Q"))
	s.ask(c, "subscribe", map[string]any{"rooms": []string{"quotes:Q"}, "max_rate": 1, "keys": []string{"1", "2"}})
	s.ask(c, "subscribe", rooms("quotes:Q")) // already, with its keys and rate
	c.notice("snapshot_end")
	for i := range 100 {
		put("quotes", "Q", fmt.Sprintf(`{"s":"Q","k":"1","n":%d}`, i))
	}
	c.notice("conflated")
	s.ask(c, "subscribe", map[string]any{"rooms": []string{"deals:A"},
		"since": map[string]any{"deals:A": map[string]any{"epoch": "of another topic", "0": 3}}})
	c.notice("gap")
	s.ask(c, "subscribe", map[string]any{"rooms": []string{"deals:B"},
		"since": map[string]any{"deals:B": map[string]any{"ts": 1699123456789}}})
	k.deleteTopic(s.t, "deals")
	k.topic(s.t, "deals", 1)
	c.notice("reset")
}

// limits: a wildcard that grows until it may not.
func (s *socketSpec) limits(w *producer) {
	c := s.dial("?token=" + claimed("44", nil))
	c.notice("auto_subscribed") // with an error: a desk's room
	s.ask(c, "subscribe", map[string]any{"rooms": []string{"quotes:*"}, "snapshot": false})
	for _, symbol := range []string{"R", "S", "T"} {
		w.send("quotes", 0, []byte(symbol), fmt.Appendf(nil, `{"s":%q,"k":"1"}`, symbol))
	}
	c.notice("joined")
	c.notice("limit")
	s.ask(c, "list_subscriptions", nil)
	s.ask(c, "unsubscribe", map[string]any{"rooms": []string{"quotes:*"}})
}
