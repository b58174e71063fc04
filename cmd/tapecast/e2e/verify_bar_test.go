package e2e

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tapecast/rooms/testwait"
)

// TestVerifyBar: the row of the acceptance table. A service that checks tokens is 5 s late, fails half of the
// time, is down, and comes back, while clients come that are known, and others. TestVerifyService has less of
// the same.
func TestVerifyBar(t *testing.T) {
	onlyFull(t)
	lasts, rate := 3*time.Second, 10
	if scaled().full() {
		lasts, rate = 30*time.Second, 20
	}
	k := fakeCluster(t)
	k.topic(t, "trades", 1)
	k.topic(t, "orders", 1)
	b := &verifyBar{t: t, accounts: newAccounts(t), lasts: lasts, rate: rate}
	b.g = start(t, config(k, fmt.Sprintf("auth: {verify: {url: \"http://%s/me\"}}\n", b.addr)+authConfig))
	late := func(d time.Duration) func() { return func() { b.late.Store(int64(d)) } }
	b.phase("well", "", func() {}, func() {})
	b.phase("5 s late", "open", late(5*time.Second), late(0))
	b.phase("50 % errors", "", func() { b.half.Store(true) }, func() { b.half.Store(false) })
	b.phase("down", "open", b.down, b.up)
}

type verifyBar struct {
	*accounts
	t     *testing.T
	g     *gateway
	lasts time.Duration
	rate  int // clients a second that are known, and as many others
	n     atomic.Int64
}

// welcome is how it went for a client.
type welcome struct {
	how   string
	after time.Duration
}

// come connects with a token, until it is let in or closed.
func (b *verifyBar) come(token string) welcome {
	began := time.Now()
	c, err := tryDial(b.t, b.g, dialing{within: patience, query: "?token=" + token})
	if err != nil {
		return welcome{err.Error(), time.Since(began)}
	}
	defer c.conn.Close()
	return welcome{c.comesIn(patience), time.Since(began)}
}

func (b *verifyBar) stranger() string { return fmt.Sprint("user-", b.n.Add(1)) }

// phase does harm while clients come. breaker is what /health must say of it meanwhile.
func (b *verifyBar) phase(name, breaker string, harm, heal func()) {
	b.t.Helper()
	known := make([]string, 20)
	for i := range known {
		if known[i] = b.stranger(); b.come(known[i]).how != "let in" {
			b.t.Fatalf("%s: a client cannot come in before", name)
		}
	}
	harm()
	began, n := time.Now(), b.rate*int(b.lasts/time.Second)
	told := make(chan time.Duration, 1)
	go func() {
		seen := testwait.Holds(b.lasts+patience, func() bool {
			_, body, err := b.g.tryGet("/health")
			_, of, _ := strings.Cut(body, `"AuthService":{"status":"degraded",`)
			of, _, _ = strings.Cut(of, `"since"`) // what follows is of the past
			return err == nil && strings.Contains(of, "breaker "+breaker) || breaker == ""
		})
		if !seen {
			b.t.Errorf("%s: health does not tell of the breaker", name)
		}
		told <- time.Since(began)
	}()
	old, others := make([]welcome, n), make([]welcome, n)
	var clients sync.WaitGroup
	for i := range n {
		due(began, time.Duration(i)*time.Second/time.Duration(b.rate))
		clients.Go(func() { old[i] = b.come(known[i%len(known)]) })
		clients.Go(func() { others[i] = b.come(b.stranger()) })
	}
	clients.Wait()
	seen := ""
	if after := <-told; breaker != "" {
		seen = fmt.Sprintf("; the breaker in /health after %.1f s", after.Seconds())
	}
	heal()
	healed := time.Now()
	eventually(b.t, patience, "others are let in again", func() bool { return b.come(b.stranger()).how == "let in" })
	recovered := time.Since(healed)
	b.t.Logf("%s: known: %s; others: %s%s; others are let in %.1f s after it", name, b.sum(name, old, true),
		b.sum(name, others, false), seen, recovered.Seconds())
	if scaled().full() && recovered > 10*time.Second {
		b.t.Errorf("%s: recovered after %s, the bar is 10 s", name, recovered)
	}
}

// sum says how it went for clients. All of those that are known must be let in, and at once.
func (b *verifyBar) sum(name string, list []welcome, known bool) string {
	count, waits := map[string]int{}, make([]time.Duration, 0, len(list))
	for _, a := range list {
		count[a.how]++
		waits = append(waits, a.after)
		if known && a.how != "let in" {
			b.t.Errorf("%s: a client that is known is %s", name, a.how)
		}
	}
	s := spread(waits) // sorted
	if longest := waits[len(waits)-1]; scaled().full() && longest > 5200*time.Millisecond {
		b.t.Errorf("%s: a client waited for %s, the bar is 5 s", name, longest)
	}
	return fmt.Sprintf("%v, %s", count, s)
}
