package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tapecast/bench"
	"tapecast/bench/job"
)

// TestMain lets the test binary be the processes that the tests start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "worker" || os.Args[1] == "serve") {
		if err := command(context.Background(), os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Every message of a run reaches every client of each library's server, in order, to the last
// byte.
func TestPeers(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			p, url, err := k.start("127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer p.stop()
			admin := httptest.NewServer(adminHandler(p))
			defer admin.Close()
			speech := job.Speech{Protocol: k.protocol}
			fanout(t, bench.Target{URL: url, Admin: admin.URL, Direct: true, Speech: speech}, 25)
		})
	}
}

func fanout(t *testing.T, target bench.Target, clients int) {
	t.Helper()
	res, err := bench.Fanout(t.Context(), bench.FanoutConfig{
		Target: target, Clients: clients, Rooms: []string{"prices"}, Rate: 200, Size: 128, Check: true,
		Warmup: 100 * time.Millisecond, Duration: time.Second, Drain: 20 * time.Second,
	})
	if res == nil || len(res.Runs) != 1 {
		t.Fatal(err)
	}
	// A busy machine may make the bench late, but delivery must be right.
	l := res.Runs[0]
	if len(l.Faults) > 0 || l.Want != int64(220*clients) || l.Unique != l.Want || l.RSS == 0 {
		t.Fatalf("%v: %+v", err, l)
	}
}

// NATS also takes what the bench publishes over its own port, and its CPU time is that of its
// process.
func TestPublishNATS(t *testing.T) {
	p, url, err := startNATS("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	fanout(t, bench.Target{
		URL: url, Admin: fmt.Sprintf("pid:%d", os.Getpid()), Publish: p.(*natsPeer).srv.ClientURL(),
		Speech: job.Speech{Protocol: job.NATS},
	}, 5)
}

// The driver starts the servers, gives each its turn, and writes the table.
func TestRunQuick(t *testing.T) {
	file := filepath.Join(t.TempDir(), "r.md")
	if err := os.WriteFile(file, []byte("before\n"+markBegin+"\nold\n"+markEnd+"\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := command(t.Context(),
		[]string{"run", "--quick", "--gateway", "", "--only", "gws,nats", "--into", file}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, want := range []string{"before\n" + markBegin, "\n| gws |", "\n| nats |", "50 msg/s",
		markEnd + "\nafter\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "old") {
		t.Errorf("the old table is left:\n%s", text)
	}
}

func TestBadInput(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		if err := command(t.Context(), args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v; want %q", args, err, want)
		}
	}
	f("a command is missing")
	f("unknown command", "bogus")
	f("name of a peer", "serve")
	f(`no peer is called "x"`, "serve", "x")
	f("not ascending numbers", "run", "--rates", "5,5")
	f("names no server", "run", "--only", "x", "--gateway", "")
	f("cannot start tapecast", "run", "--only", "tapecast", "--gateway", "/does/not/exist")
}

type taken struct{ got []string }

func (p *taken) publish(room string, value []byte) error {
	p.got = append(p.got, room+"="+string(value))
	return nil
}

func (p *taken) stop() {}

func TestAppendAll(t *testing.T) {
	var p taken
	body := []byte("\x00\x01a\x00\x00\x00\x02xy\x00\x00\x00\x00\x00\x01z")
	if n, err := appendAll(&p, bytes.NewReader(body)); n != 2 || err != nil || fmt.Sprint(p.got) != "[a=xy =z]" {
		t.Fatalf("%d, %v, %q", n, err, p.got)
	}
	for cut := 1; cut < len(body); cut++ {
		n, err := appendAll(&p, bytes.NewReader(body[:cut]))
		if whole := cut == 9; (err == nil) != whole {
			t.Errorf("%d bytes: %d, %v", cut, n, err)
		}
	}
	if _, err := appendAll(&p, strings.NewReader("\x00\x00\xff\xff\xff\xff")); err == nil || err == io.EOF {
		t.Fatalf("%v", err)
	}
}

// The verdicts on a server, and the limit that follows.
func TestVerdict(t *testing.T) {
	f := func(want string, l bench.Run) {
		t.Helper()
		if got := verdict(&l); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	seen := func(delivered float64) bench.Seen { return bench.Seen{Delivered: delivered} }
	f("", bench.Run{Offered: 100, Seen: seen(98), Latency: job.Quantiles{P99: 999}})
	f("96 % delivered", bench.Run{Offered: 100, Seen: seen(96)})
	f("p99 2.0 s", bench.Run{Offered: 100, Seen: seen(100), Latency: job.Quantiles{P99: 2000}})
	f("3 connections cut", bench.Run{Counts: job.Counts{Lost: 5}, Offered: 100, Seen: bench.Seen{Gone: 3}})
	f("5 messages lost", bench.Run{Counts: job.Counts{Lost: 5}, Offered: 100, Seen: seen(100)})
	c := &contender{}
	c.took(measured{rate: 10, run: &bench.Run{Seen: seen(1001)}}, 100)
	c.took(measured{rate: 20, run: &bench.Run{Seen: seen(1400)}, why: "70 % delivered"}, 100)
	if c.limit != 14 || !c.behind {
		t.Errorf("%+v", c)
	}
}
