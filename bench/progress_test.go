package bench

import (
	"strings"
	"testing"
	"time"
)

// On a terminal one line is overwritten, and lines that stay come before it.
func TestProgressOnTerminal(t *testing.T) {
	var b strings.Builder
	p := NewProgress(&b)
	p.width = func() int { return 10 }
	p.tell("one")
	p.tell("one two three")
	if _, err := p.Write([]byte("stays\n")); err != nil {
		t.Fatal(err)
	}
	if want := "\rone\x1b[K\rone two t\x1b[K\r\x1b[Kstays\n"; b.String() != want {
		t.Fatalf("%q, want %q", b.String(), want)
	}
}

// Elsewhere there are plain lines, and few.
func TestProgressPlain(t *testing.T) {
	var b strings.Builder
	p := NewProgress(&b)
	for range 100 {
		p.tell("soon")
	}
	p.told = time.Now().Add(-plainEvery)
	p.tell("later")
	if want := "soon\nlater\n"; b.String() != want {
		t.Fatalf("%q, want %q", b.String(), want)
	}
}

func TestPointLine(t *testing.T) {
	f := func(p ClientPoint, want string) {
		t.Helper()
		if got := p.line(10*time.Second, 1000); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	f(ClientPoint{At: 3, Connected: 999, Delivered: 12345.6, Timed: 5, P99: 1.5, PublisherLag: 0.5, ClientLag: 2,
		Asleep: 0.5},
		"3.0 of 10 s · 999 of 1,000 clients · 12,345/s · p99 1.50 ms · bench: publisher lag 500 µs, client lag 2.00 "+
			"ms, asleep 50 %")
	f(ClientPoint{At: -1, Connected: 1000},
		"-1.0 of 10 s (warmup) · 1,000 of 1,000 clients · 0/s · bench: publisher lag 0 µs, client lag 0 µs, asleep 0 %")
}

func TestIntervalOf(t *testing.T) {
	f := func(window, want time.Duration) {
		t.Helper()
		if got := intervalOf(window); got != want {
			t.Errorf("%s: %s, want %s", window, got, want)
		}
	}
	f(time.Second, 100*time.Millisecond)
	f(10*time.Second, 500*time.Millisecond)
	f(time.Minute, time.Second)
	f(2*time.Hour, 2*time.Second)
}
