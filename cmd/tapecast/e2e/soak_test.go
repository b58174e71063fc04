package e2e

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/rooms/testwait"
)

const soakConfig = `
rooms:
  - {match: "feed", class: kept}
  - {match: "mine:{owner}", class: private}
  - {match: "deals:*", class: kept}
  - {match: "quotes", class: quick}
classes:
  kept: {compress: true, retain: {bytes: 4MiB, age: 10s}}
  quick: {compress: true, conflate: true, snapshot: true, conflate_after: {bytes: 16KiB}, retain: {age: 5s}}
  private: {retain: {age: 2s}}
auto_join: []
limits: {burst: 100, tiers: {basic: {rooms_per_connection: 100}, pro: {messages_per_second: 200}}}
ingest:
  routes:
    - {topic: feed, rooms: [feed], key: "{s}", type: tick}
    - {topic: mine, rooms: ["mine:{@key}"], type: order}
    - {topic: deals, rooms: ["deals:{s}"], type: deal}
    - {topic: deals, rooms: [quotes], key: "{s}", type: quote}
`

// soak is a trial without faults, with all that a gateway can do at the same time.
type soak struct {
	*trial
	issuer *published
	trust  *tls.Config
	over   chan struct{}
	ending sync.WaitGroup

	visits, refused atomic.Int64
}

// TestSoak: TLS, wildcards, resumes, keys that rotate, revocations, tiers, conflation and compression, for
// TAPECAST_E2E_SOAK (full: 30 minutes). What the process holds stays the same, and nothing is lost.
func TestSoak(t *testing.T) {
	lasts, each := 20*time.Second, 2*time.Second
	if scaled().full() {
		lasts, each = 30*time.Minute, 10*time.Second
	}
	if d, err := time.ParseDuration(os.Getenv("TAPECAST_E2E_SOAK")); err == nil {
		lasts = d
	} else if !scaled().full() {
		t.Skip("TAPECAST_E2E_SOAK=30m or TAPECAST_E2E_FULL=1 runs it")
	}
	besideOthers(t)
	s := newSoak(t)
	defer s.end()
	var taken []usage
	began := time.Now()
	for n := 1; time.Duration(n)*each <= lasts; n++ {
		due(began, time.Duration(n)*each)
		now := s.use()
		taken = append(taken, now)
		if n%6 == 0 {
			s.settle()
			t.Logf("after %s: %d descriptors, %.0f goroutines, %.0f MB; %d visits, %d of them refused; the others "+
				"came back %d times; %d fetches of keys", time.Since(began).Round(time.Second), now.descriptors,
				now.goroutines, now.resident, s.visits.Load(), s.refused.Load(), s.back(), s.issuer.fetches.Load())
		}
	}
	s.flows()
	s.settle()
	s.flat(taken)
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	s := &soak{issuer: publish(t), over: make(chan struct{})}
	cert, key, trust := certificate(t)
	s.trust = trust
	more := fmt.Sprintf("server: {listen: \"127.0.0.1:0\", drain: 3s, ping_every: 1s, "+
		"tls: {cert_file: %q, key_file: %q}}\nauth: {jwks_url: %q, revocations: revoked}\n", cert, key, s.issuer.url)
	s.trial = newTrialOn(t, ground{base: soakConfig, more: more, topics: []string{"deals", "revoked"},
		token: func(user string) string { return s.token(user) },
		how:   dialing{secure: trust, deflate: true}})
	w := s.k.producer(t)
	w.meanwhile(func() { s.deals(w) })
	revoked := s.k.producer(t)
	s.every(5*time.Second, func(n int) { s.revoke(revoked, fmt.Sprint("v", n%20)) })
	s.every(10*time.Second, func(int) { s.issuer.rotate() })
	s.every(13*time.Second, func(int) { s.node.cmd.Process.Signal(syscall.SIGHUP) })
	s.every(17*time.Second, func(int) { s.front.cut(); s.front.open() })
	for n := range 20 {
		s.ending.Go(func() { s.visit(n) })
	}
	return s
}

func (s *soak) end() {
	close(s.over)
	s.ending.Wait()
}

// every does something again and again, until the end.
func (s *soak) every(d time.Duration, do func(n int)) {
	s.ending.Go(func() {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-s.over:
				return
			case <-tick.C:
				do(n)
			}
		}
	})
}

// token returns one of an hour, of some algorithm and tier.
func (s *soak) token(user string) string {
	alg := [...]string{"RS256", "ES256", "EdDSA"}[rand.IntN(3)]
	return s.issuer.signed(alg, jwt.MapClaims{"sub": user, "exp": time.Now().Add(time.Hour).Unix(),
		"iat": time.Now().Unix(), "tier": [...]string{"basic", "pro"}[rand.IntN(2)]})
}

// deals sends 200 records a second of 40 rooms.
func (s *soak) deals(w *producer) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n := 0; s.t.Context().Err() == nil; n++ {
		<-tick.C
		for range 2 {
			symbol := fmt.Sprint("D", rand.IntN(40))
			w.send("deals", anyPartition, []byte(symbol), fmt.Appendf(nil, `{"s":%q,"n":%d,"x":"%080d"}`, symbol, n, n))
		}
	}
}

// revoke refuses a user for two seconds.
func (s *soak) revoke(w *producer, user string) {
	w.send("revoked", anyPartition, []byte("user:"+user), []byte(`{"reason":"a test"}`))
	due(time.Now(), 2*time.Second)
	w.send("revoked", anyPartition, []byte("user:"+user), nil)
}

// visit comes and goes until the end, as one user. It resumes in one room, and joins others without a position.
func (s *soak) visit(n int) {
	v := &survivor{t: s.t, user: fmt.Sprint("v", n), rooms: nil}
	since := map[string]any{}
	for {
		select {
		case <-s.over:
			return
		case <-time.After(upTo(500 * time.Millisecond)): // as a client must
		}
		c, err := tryDial(s.t, s.node, dialing{secure: s.trust, deflate: n%2 == 0, within: silence,
			query: "?join=manual&token=" + s.token(v.user)})
		s.visits.Add(1)
		if err != nil {
			s.refused.Add(1)
			continue
		}
		if v.answered(c, "1", "authenticate", map[string]any{"join": []string{}}) && v.answered(c, "2", "subscribe",
			map[string]any{"rooms": []string{"feed", "quotes", "deals:*"}, "snapshot": true, "since": since}) {
			testwait.Pause(upTo(3 * time.Second)) // it stays
		} else {
			s.refused.Add(1)
		}
		c.conn.Close()
		c.awaitClose(patience)
		c.mu.Lock()
		faults := slices.Clone(c.faults)
		for _, r := range c.rooms {
			faults = append(faults, r.faults...)
		}
		if r := c.rooms["feed"]; r != nil {
			since["feed"] = positions{epoch: r.epoch, at: r.seen}.object()
		}
		c.mu.Unlock()
		if faults != nil {
			s.t.Errorf("%s: %q", v.user, faults[:min(3, len(faults))])
			return
		}
	}
}

// settle compares what the survivors have with the topics, and lets them forget it.
func (s *soak) settle() {
	s.t.Helper()
	s.still(func() {
		s.compare()
		for _, name := range []string{"feed", "mine"} {
			at := ends(s.k.read(s.t, name))
			for _, v := range s.all {
				room := name
				if name == "mine" {
					room += ":" + v.user
				}
				v.restart(room, at)
			}
		}
	})
}

// flat compares the last third of what was taken with the second one.
func (s *soak) flat(taken []usage) {
	s.t.Helper()
	if len(taken) < 30 {
		return // too little to tell
	}
	most := func(of []usage) (m usage) {
		for _, u := range of {
			m = usage{max(m.descriptors, u.descriptors), max(m.goroutines, u.goroutines), max(m.resident, u.resident)}
		}
		return m
	}
	third := len(taken) / 3
	was, is := most(taken[third:2*third]), most(taken[2*third:])
	s.t.Logf("at most, in the second third: %+v; in the last: %+v", was, is)
	if is.descriptors > was.descriptors+30 || is.goroutines > was.goroutines+30 || is.resident > 1.1*was.resident+5 {
		s.t.Errorf("it has grown: at most %+v in the second third, %+v in the last", was, is)
	}
}
