package demo

import (
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/valyala/fastjson"

	"tapecast/ingest/jsonscan"
)

// recorded finds the recordings, or skips.
func recorded(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("TAPECAST_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "data")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no recordings: set TAPECAST_DATA to their folder (%v)", err)
	}
	return path
}

func writeFeed(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !strings.HasSuffix(name, ".gz") {
		fmt.Fprint(f, text)
		return path
	}
	z := gzip.NewWriter(f)
	defer z.Close()
	fmt.Fprint(z, text)
	return path
}

func TestFeedFile(t *testing.T) {
	f := func(name, text string, want ...string) {
		t.Helper()
		feed, err := OpenFeed(writeFeed(t, name, text))
		if err != nil {
			t.Fatal(err)
		}
		defer feed.Close()
		var got []string
		for feed.Next() {
			l := feed.Line()
			got = append(got, fmt.Sprintf("%v %s|%s|%s", l.At, l.Kind, l.Key, l.Payload))
		}
		if feed.Err() != nil {
			got = append(got, feed.Err().Error())
		}
		if len(got) != len(want) {
			t.Fatalf("%q: %q, want %q", text, got, want)
		}
		for i := range got {
			if i == len(got)-1 && feed.Err() != nil && strings.Contains(got[i], want[i]) {
				continue
			}
			if got[i] != want[i] {
				t.Errorf("%q: %q, want %q", text, got[i], want[i])
			}
		}
	}
	f("a.tsv", "1000\tspot.BTC\t{}\n3000\tspot.ETH\t{\"a\":1}\n2000\tx\t1\n", "0s |spot.BTC|{}", "2µs |spot.ETH|{\"a\":1}", "2µs |x|1")
	f("a.tsv.gz", "5\ttrade\tspot.BTC\t{}\n", "0s trade|spot.BTC|{}")
	f("a", "wss://x <-> 1.5\n\n1618677817.061845: {\"a\": 1}\n1618677817.5: []", `0s ||{"a": 1}`, "438.155ms ||[]")
	f("a", "17: x\n17.1234567894: y", "0s ||x", "123.456789ms ||y")
	f("a", "17 x", "line 1 of")
	f("a", "1\t2", "line 1 of")
	f("a", "1x\t2\t3", "line 1 of")
	f("a", "1.x: 3", "line 1 of")
	f("a", "99999999999999999999: 3", "line 1 of")
	f("a", "99999999999999999999\t\t3", "line 1 of")
	f("a", strings.Repeat("1", maxFeedLine+1), "cannot read")
}

func TestOpenFeedRefuses(t *testing.T) {
	if _, err := OpenFeed(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there is opened")
	}
	path := filepath.Join(t.TempDir(), "bad.gz")
	if err := os.WriteFile(path, []byte("no gzip"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFeed(path); err == nil {
		t.Error("a file that is no gzip is opened")
	}
}

func FuzzFeedFile(f *testing.F) {
	f.Add("1\ta\tb\n2.5: {}\nx")
	f.Fuzz(func(t *testing.T, text string) {
		feed, err := OpenFeed(writeFeed(t, "f", text))
		if err != nil {
			t.Fatal(err)
		}
		defer feed.Close()
		last := time.Duration(0)
		for feed.Next() {
			if feed.Line().At < last {
				t.Fatalf("%q: time goes back", text)
			}
			last = feed.Line().At
		}
	})
}

func TestRecordings(t *testing.T) {
	f := func(rows int, names ...string) {
		t.Helper()
		n := 0
		for _, name := range names {
			feed, err := OpenFeed(recorded(t, name))
			if err != nil {
				t.Fatal(err)
			}
			for feed.Next() {
				if at := new(jsonscan.Scanner).Scan(feed.Line().Payload, nil); at >= 0 {
					t.Fatalf("%s: no JSON at %d: %s", name, at, feed.Line().Payload)
				}
				n++
			}
			if feed.Err() != nil {
				t.Fatal(feed.Err())
			}
			feed.Close()
		}
		if n != rows {
			t.Errorf("%v: %d rows, want %d", names, n, rows)
		}
	}
	f(78638, "trade.tsv.gz")
	f(6, "depth_snapshot.tsv.gz")
	f(16934, "mini_burst10s.tsv.gz")
	f(26213, "multisymbol/BINANCE_DELIVERY.ws.1.0.gz", "multisymbol/COINBASE.ws.28.0.gz", "multisymbol/KRAKEN_FUTURES.ws.1.0.gz", "multisymbol/KUCOIN.ws.1.0.gz")
}

func TestKeyField(t *testing.T) {
	key, err := KeyField("data.s", "s", "product_id")
	if err != nil {
		t.Fatal(err)
	}
	f := func(payload, want string) {
		t.Helper()
		if got := key(&FeedLine{Payload: []byte(payload)}); got != want {
			t.Errorf("%s: %q, want %q", payload, got, want)
		}
	}
	f(`{"stream":"x","data":{"s":"BTCUSD_PERP"}}`, "BTCUSD_PERP")
	f(`{"s":5}`, "5")
	f(`{"s":"a","data":{"s":"b"}}`, "b")
	f(`{"product_id":"SKL-USD"}`, "SKL-USD")
	f(`{"type":"hello"}`, "")
	f(`no JSON`, "")
	if _, err := KeyField("a..b"); err == nil {
		t.Error("a bad path is taken")
	}
	if got := KeySymbol(&FeedLine{Key: []byte("spot.BTCUSDT")}); got != "BTCUSDT" {
		t.Errorf("symbol %q", got)
	}
	if got := KeySymbol(&FeedLine{Key: []byte("BTCUSDT")}); got != "BTCUSDT" {
		t.Errorf("symbol %q", got)
	}
}

// The burst is replayed at twenty times its pace: all of its trades arrive,
// by key in steps of one, and none was sent before it was due.
func TestReplayRecorded(t *testing.T) {
	t.Parallel()
	file := recorded(t, "mini_burst10s.tsv.gz")
	e, err := StartEmbedded(t.Context(), []TopicSpec{{Name: "trades", Partitions: 3}}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	res, err := Replay(t.Context(), ReplayOptions{Brokers: e.Addrs(), File: file, Topic: "trades", Kind: "trade", Speed: 20, DueHeader: "due"})
	if err != nil || res.Produced != 5447 || res.Failed != 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	if res.Took < 400*time.Millisecond {
		t.Errorf("ten seconds at twenty times their pace took %v", res.Took)
	}
	n, last := 0, map[string]int{}
	readAll(t, e.Addrs(), []string{"trades"}, func(m *kafka.Message) bool {
		id := fastjson.GetInt(m.Value, "t")
		if was, ok := last[string(m.Key)]; ok && id != was+1 {
			t.Errorf("trade %d of %s after %d", id, m.Key, was)
		}
		last[string(m.Key)] = id
		if due, err := strconv.ParseInt(string(m.Headers[0].Value), 10, 64); err != nil || m.Timestamp.UnixNano() < due-int64(time.Millisecond) {
			t.Errorf("sent at %v, due at %d (%v)", m.Timestamp, due, err)
		}
		n++
		return n < 5447
	})
}

func TestReplayFaults(t *testing.T) {
	t.Parallel()
	e, err := StartEmbedded(t.Context(), []TopicSpec{{Name: "t", Partitions: 1}}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	good := writeFeed(t, "good", "1\tspot.A\t{}\n1000000001\tspot.B\t{}\n100000000000\tspot.C\t{}\n")
	res, err := Replay(t.Context(), ReplayOptions{Brokers: e.Addrs(), File: good, Topic: "t", Limit: 2, Key: KeySymbol})
	if err != nil || res.Produced != 2 {
		t.Errorf("two lines at once: %+v, %v", res, err)
	}
	var keys []string
	readAll(t, e.Addrs(), []string{"t"}, func(m *kafka.Message) bool {
		keys = append(keys, string(m.Key))
		return len(keys) < 2
	})
	if strings.Join(keys, " ") != "A B" {
		t.Errorf("keys %q", keys)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Replay(short, ReplayOptions{Brokers: e.Addrs(), File: good, Topic: "t", Speed: 1}); err == nil || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("a replay whose time is up: %v", err)
	}
	f := func(o ReplayOptions, words string) {
		t.Helper()
		o.Brokers = e.Addrs()
		if _, err := Replay(t.Context(), o); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%+v: %v, want %q", o, err, words)
		}
	}
	f(ReplayOptions{File: "none", Topic: "t"}, "none")
	f(ReplayOptions{File: writeFeed(t, "bad", "1\tx"), Topic: "t"}, "line 1")
	f(ReplayOptions{File: good, Topic: "t", Librdkafka: map[string]string{"acks": "0"}}, "acks")
	f(ReplayOptions{File: good, Topic: "t", Librdkafka: map[string]string{"x": "0"}}, "producer")
	f(ReplayOptions{File: good, Topic: "none", Librdkafka: map[string]string{"message.timeout.ms": "200"}}, "were not stored")
}
