package jwks

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tapecast/rooms/testwait"
	"tapecast/server/auth/keyset"
)

// setOf returns a JWK Set with new keys of the given names.
func setOf(kids ...string) string {
	var keys []string
	for _, kid := range kids {
		pub, _, _ := ed25519.GenerateKey(rand.Reader)
		keys = append(keys, fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","kid":%q,"x":%q}`, kid,
			base64.RawURLEncoding.EncodeToString(pub)))
	}
	return `{"keys":[` + strings.Join(keys, ",") + `]}`
}

// issuer answers in place of a network, so that a test can have its own clock.
type issuer struct {
	set    atomic.Pointer[string] // nil: it does not answer
	status atomic.Int32           // 0: 200
	takes  atomic.Int64           // ns for an answer
	asked  atomic.Int64
}

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.asked.Add(1)
	timer := time.NewTimer(time.Duration(i.takes.Load()))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	set := i.set.Load()
	if set == nil {
		return nil, errors.New("connection refused")
	}
	w := httptest.NewRecorder()
	if s := i.status.Load(); s != 0 {
		w.WriteHeader(int(s))
	}
	io.WriteString(w, *set)
	return w.Result(), nil
}

func (i *issuer) has(kids ...string) {
	s := setOf(kids...)
	i.set.Store(&s)
}

// running is a source whose Run is under way.
type running struct {
	*Source
	i    *issuer
	kids atomic.Pointer[[]string] // of the keys that it took
}

// begin starts a source of an issuer that publishes these keys; without any it does not answer.
func begin(t *testing.T, kids ...string) *running {
	t.Helper()
	r := &running{i: &issuer{}}
	if len(kids) > 0 {
		r.i.has(kids...)
	}
	r.kids.Store(new([]string))
	ctx, cancel := context.WithCancel(context.Background())
	r.Source = New(Config{URL: "https://idp.example/keys", Every: time.Minute, Client: &http.Client{Transport: r.i,
		Timeout: 4 * time.Second}, Log: slog.New(slog.DiscardHandler),
		Took: func(keys []keyset.Key, _ []string) bool {
			var kids []string
			for _, k := range keys {
				kids = append(kids, k.ID)
			}
			return fmt.Sprint(*r.kids.Swap(&kids)) != fmt.Sprint(kids)
		}})
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

func never() bool { return false }

// await asks, and returns where the answer arrives.
func (r *running) await(t *testing.T) <-chan error {
	t.Helper()
	answer := make(chan error, 1)
	if !r.Await(100, never, func(err error) { answer <- err }) {
		t.Fatal("too many wait")
	}
	return answer
}

// TestSourceFetches: at the start, every so often, and when somebody asks, never two at a time and
// never sooner than a second after another.
func TestSourceFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, "a")
		<-r.First()
		f := func(asked int64, kids ...string) {
			t.Helper()
			synctest.Wait()
			if got := *r.kids.Load(); fmt.Sprint(got) != fmt.Sprint(kids) || r.i.asked.Load() != asked {
				t.Errorf("keys %v after %d fetches, want %v after %d", got, r.i.asked.Load(), kids, asked)
			}
		}
		f(1, "a")
		r.i.has("a", "b")
		testwait.Pass(59 * time.Second)
		f(1, "a")
		testwait.Pass(2 * time.Second)
		f(2, "a", "b")

		// A hundred ask at once, while the fetch of the first is under way.
		testwait.Pass(10 * time.Second)
		r.i.takes.Store(int64(300 * time.Millisecond))
		r.i.has("c")
		began := time.Now()
		answers := []<-chan error{r.await(t)}
		testwait.Pass(100 * time.Millisecond)
		r.i.has("d") // the one under way may have missed it
		for range 100 {
			answers = append(answers, r.await(t))
		}
		// Who asks for what the one under way brings does not wait for another.
		brought := make(chan error, 1)
		r.Await(1, func() bool { return fmt.Sprint(*r.kids.Load()) == "[d]" }, func(err error) { brought <- err })
		if err := <-answers[0]; err != nil || time.Since(began) != 300*time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if err := <-brought; err != nil || time.Since(began) != 300*time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		for _, a := range answers[1:] {
			if err := <-a; err != nil {
				t.Error(err)
			}
		}
		if d := time.Since(began); d != between+300*time.Millisecond {
			t.Errorf("the others were answered after %s", d)
		}
		f(4, "d")
		if s := r.Stats(); s.Waiting != 0 || s.Bytes != 0 || s.Fetches != 4 || s.Failed != 0 || s.Why != nil ||
			s.Breaker != "closed" || s.Took.IsZero() {
			t.Errorf("%+v", s)
		}
	})
}

// TestSourceIsNotDriven: kids that are made up lead to a fetch in four seconds, and a real one is
// found in time all the same.
func TestSourceIsNotDriven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, "a")
		<-r.First()
		for range 40 {
			if err := <-r.await(t); err != nil {
				t.Fatal(err)
			}
		}
		n, began := r.i.asked.Load(), time.Now()
		for range 10 {
			<-r.await(t)
		}
		if d := time.Since(began); d != 10*slowest || r.i.asked.Load() != n+10 {
			t.Errorf("ten more were made in %s", d)
		}
		r.i.has("a", "b")
		if err := <-r.await(t); err != nil || len(*r.kids.Load()) != 2 {
			t.Errorf("%v, %v", err, *r.kids.Load())
		}
		began = time.Now()
		if err := <-r.await(t); err != nil || time.Since(began) != between {
			t.Errorf("after news: %v after %s", err, time.Since(began))
		}
		n = r.i.asked.Load()
		r.Refresh()
		testwait.Pass(slowest)
		if r.i.asked.Load() != n+1 {
			t.Error("a reload fetches nothing")
		}
	})
}

// TestSourceAnswers: while those that waited are answered, others are told in time.
func TestSourceAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, "a")
		<-r.First()
		slow := make(chan struct{})
		r.Await(1, never, func(error) { <-slow })
		testwait.Pass(2 * between)
		began := time.Now()
		if err := <-r.await(t); err != ErrAway || time.Since(began) != MaxWait {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		close(slow)
		if err := <-r.await(t); err != nil {
			t.Error(err)
		}
	})
}

// TestSourceAway: who waits is told within MaxWait, three failures open the breaker, and then
// nobody waits. It recovers by itself.
func TestSourceAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t)
		<-r.First()
		if s := r.Stats(); s.Why == nil || !s.Took.IsZero() {
			t.Errorf("%+v", s)
		}
		r.i.takes.Store(int64(time.Hour))
		began := time.Now()
		first := r.await(t)
		testwait.Pass(3 * time.Second)
		second, asked := r.await(t), time.Now()
		if err := <-first; err != ErrAway || time.Since(began) > MaxWait {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if err := <-second; err != ErrAway || time.Since(asked) > MaxWait {
			t.Errorf("%v after %s", err, time.Since(asked))
		}
		for r.Stats().Breaker != "open" {
			testwait.Pass(time.Second)
		}
		n := r.i.asked.Load()
		began = time.Now()
		if err := <-r.await(t); err != ErrAway || time.Since(began) > 0 || r.i.asked.Load() != n {
			t.Errorf("with the breaker open: %v after %s, %d fetches more", err, time.Since(began), r.i.asked.Load()-n)
		}
		r.i.has("a")
		r.i.takes.Store(0)
		testwait.Pass(openFor + retry)
		synctest.Wait()
		if got := *r.kids.Load(); len(got) != 1 || r.Stats().Breaker != "closed" || r.Stats().Why != nil {
			t.Errorf("%v, %+v", got, r.Stats())
		}
		r.i.status.Store(500) // what is there stays
		if err := <-r.await(t); err != ErrAway || len(*r.kids.Load()) != 1 {
			t.Errorf("%v, %v", err, *r.kids.Load())
		}
		if s := r.Stats(); fmt.Sprint(s.Why) != "it answers with status 500, not 200" {
			t.Error(s.Why)
		}
	})
}

// TestSourceLate: a fetch that takes long is told before it fails.
func TestSourceLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, "a")
		<-r.First()
		testwait.Pass(2 * between)
		r.i.takes.Store(int64(3 * time.Second))
		answer := r.await(t)
		if testwait.Pass(lateAfter - time.Millisecond); r.Stats().Why != nil {
			t.Errorf("too early: %v", r.Stats().Why)
		}
		if testwait.Pass(2 * time.Millisecond); r.Stats().Why != errLate {
			t.Errorf("not told: %v", r.Stats().Why)
		}
		if err := <-answer; err != nil || r.Stats().Why != nil {
			t.Errorf("%v, %v", err, r.Stats().Why)
		}
	})
}

// TestSourceBounds: how many tokens wait, of how many bytes, and how many kids are remembered.
func TestSourceBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, "a")
		<-r.First()
		r.i.takes.Store(int64(time.Second))
		answered := 0
		done := func(error) { answered++ }
		if r.Await(MaxBytes+1, never, done) || !r.Await(MaxBytes, never, done) || r.Await(1, never, done) {
			t.Error("bytes are not bounded")
		}
		testwait.Pass(MaxWait)
		synctest.Wait()
		n := 0
		for r.Await(1, never, done) {
			n++
		}
		if n != MaxWaiting || r.Stats().Full != 3 {
			t.Errorf("%d waited, %d did not", n, r.Stats().Full)
		}
		testwait.Pass(MaxWait)
		synctest.Wait()
		if s := r.Stats(); answered != n+1 || s.Waiting != 0 || s.Bytes != 0 {
			t.Errorf("%d of %d answered, %+v", answered, n+1, s)
		}

		for i := range maxRefused + 1 {
			r.Lack(fmt.Sprint("k", i))
		}
		if r.Lacks("k0") || !r.Lacks("k1") || !r.Lacks(fmt.Sprint("k", maxRefused)) || len(r.refused) != maxRefused {
			t.Errorf("%d kids are remembered", len(r.refused))
		}
		testwait.Pass(refuseFor)
		if r.Lacks("k1") {
			t.Error("k1 is refused for ever")
		}
	})
}

// TestSourceEnds: whoever waits is told when the source ends.
func TestSourceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		i := &issuer{}
		i.takes.Store(int64(time.Hour))
		s := New(Config{URL: "https://idp.example", Every: time.Minute, Client: &http.Client{Transport: i},
			Log: slog.New(slog.DiscardHandler), Took: func([]keyset.Key, []string) bool { return true }})
		ended := make(chan struct{})
		go func() { defer close(ended); s.Run(ctx) }()
		answer := make(chan error, 1)
		s.Await(1, never, func(err error) { answer <- err })
		synctest.Wait()
		cancel()
		<-ended
		if err := <-answer; err != ErrAway || s.Stats().Waiting != 0 {
			t.Error(err, s.Stats())
		}
	})
}
