package bench

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"

	"tapecast/bench/job"
	"tapecast/bench/publish"
	"tapecast/rooms/testwait"
)

// recorded is a line of a recording.
type recorded struct {
	at    time.Duration // since the first line
	key   string
	value string
}

// market is a recording of two seconds: 120 records of three keys, of all sizes, half of them
// in three bursts.
func market() []recorded {
	rnd := rand.New(rand.NewPCG(7, 7))
	var out []recorded
	var at time.Duration
	for n := range 120 {
		if 0 < n%40 && n%40 < 20 {
			at += time.Duration(rnd.IntN(66_000_000))
		}
		key := "spot." + string("AAABBC"[rnd.IntN(6)])
		out = append(out, recorded{at, key,
			fmt.Sprintf(`{"e":"trade","s":%q,"t":%d,"p":"%s","data":{"prev":"0:1","pos":"0:2"}}`, key, n,
				strings.Repeat("9", rnd.IntN(300)))})
	}
	return out
}

func writeRecording(t *testing.T, zip bool, text string) string {
	t.Helper()
	b := []byte(text)
	if zip {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		_, err := w.Write(b)
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		b = z.Bytes()
	}
	file := filepath.Join(t.TempDir(), "recording")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// tsv returns the lines of a file, with a kind if one is given.
func tsv(lines []recorded, kind string) string {
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%d\t%s%s\t%s\n", 1_723_161_254_087_896_568+int64(l.at), kind, l.key, l.value)
	}
	return b.String()
}

func (g *gate) replay(file string) FanoutConfig {
	cfg := g.fanout()
	cfg.Scenario, cfg.Rooms, cfg.Rate, cfg.Size = "replay", []string{"trades"}, 0, 0
	cfg.Replay = &ReplayConfig{File: file, Pace: 1}
	return cfg
}

// sent returns the due time and the bytes of each message that a room was sent. The bytes
// come without the stamp.
func (g *gate) sent(room string) (due []int64, values []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, b := range g.tape[room] {
		_, value, _ := bytes.Cut(b, []byte(`,"data":`))
		value = value[:len(value)-1]
		at := len(value) - job.StampSize
		due = append(due, job.ParseTime(value[at:]))
		values = append(values, string(value[:at])+"}")
	}
	return due, values
}

// Each record is published as it was recorded, when it is due: at its recorded time divided by
// the pace, round after round. Every client gets it once, in order.
func TestReplay(t *testing.T) {
	g := newGate(t, "secret")
	lines := market()
	cfg := g.replay(writeRecording(t, true, tsv(lines, "trade\t")))
	cfg.Replay.Pace, cfg.Replay.Loop, cfg.OrdersRate = 4, true, 20
	res, err := measured(t, cfg)
	run := res.Runs[0]
	due, values := g.sent("trades")
	if len(values) < 200 || run.Want != int64(20*len(values)) || run.Unique != run.Want || len(run.Faults) != 0 ||
		run.Latency.Count == 0 || run.PublisherLag.Count != int64(len(values)) {
		t.Fatalf("%d published, %v\n%+v", len(values), err, run)
	}
	if o := run.Orders; o.Want == 0 || o.Lost+o.Doubled+o.Late+o.Invalid != 0 {
		t.Errorf("orders %+v", o)
	}
	last := lines[len(lines)-1].at / 4
	period := last + last/time.Duration(len(lines)-1)
	for n, v := range values {
		l := lines[n%len(lines)]
		if want := int64(l.at/4 + time.Duration(n/len(lines))*period); v != l.value || due[n]-due[0] != want {
			t.Fatalf("message %d, due after %d, not %d: %s, not %s", n, due[n]-due[0], want, v, l.value)
		}
	}
	if res.Recording.Records != 120 || res.Recording.Keys != 3 || !res.Recording.Looped || res.Rate < 150 ||
		res.Rate > 300 || res.Size < 100 {
		t.Errorf("%+v, %v/s of %d B", res.Recording, res.Rate, res.Size)
	}
	var b strings.Builder
	if err := res.WriteText(&b); err != nil || !strings.Contains(b.String(),
		"120 records of 3 keys at 4 times its pace in 0.") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// With a rate the recorded times do not matter. With {key} each key has a room of its own.
func TestReplayRate(t *testing.T) {
	g := newGate(t, "")
	cfg := g.replay(writeRecording(t, false, tsv(market(), "")))
	cfg.Rate, cfg.Rooms = 100, []string{"keyed:{key}"} // 120 messages: as many as there are
	res, err := measured(t, cfg)
	run := res.Runs[0]
	if run.Want != 20*120 || run.Unique != run.Want || len(run.Faults) != 0 || run.Offered != 2000 || res.Rate != 100 ||
		res.Recording.Looped {
		t.Fatalf("%v\n%+v", err, run)
	}
	for _, l := range market() {
		if due, values := g.sent("keyed:" + l.key); len(values) < 2 || (due[1]-due[0])%10_000_000 != 0 {
			t.Fatalf("%s was sent %d, due at %v", l.key, len(values), due)
		}
	}
}

// A message that a gateway loses, doubles, delays or changes is found, whatever the record.
func TestReplayFaults(t *testing.T) {
	f := func(what string, edit func(n int64, b []byte) [][]byte, want Run) {
		t.Helper()
		g := newGate(t, "")
		g.edit = func(c *gateConn, n int64, b []byte) [][]byte {
			if c.n != 3 {
				return [][]byte{b}
			}
			return edit(n, b)
		}
		cfg := g.replay(writeRecording(t, false, tsv(market(), "")))
		cfg.Procs, cfg.Warmup, cfg.Drain = 1, 0, 300*time.Millisecond
		cfg.Replay.Pace = 1.5
		res, err := measured(t, cfg)
		run := res.Runs[0]
		if run.Lost < want.Lost || want.Lost == 0 && run.Lost != 0 || run.Doubled != want.Doubled ||
			run.Late != want.Late || run.Invalid != want.Invalid || len(run.Faults) == 0 || err == nil {
			t.Errorf("%s: lost %d, doubled %d, late %d, invalid %d, %v", what, run.Lost, run.Doubled, run.Late,
				run.Invalid, err)
		}
	}
	f("lost", func(n int64, b []byte) [][]byte {
		if n == 33 {
			return nil
		}
		return [][]byte{b}
	}, Run{Counts: job.Counts{Lost: 1, Late: 0}})
	f("doubled", func(n int64, b []byte) [][]byte {
		if n == 33 {
			return [][]byte{b, b}
		}
		return [][]byte{b}
	}, Run{Counts: job.Counts{Doubled: 1}})
	var held []byte
	f("out of order", func(n int64, b []byte) [][]byte {
		lines := market()
		switch {
		case n == 33:
			held = bytes.Clone(b)
			return nil
		case held != nil && n > 33 && lines[n].key == lines[33].key:
			b, held = append(bytes.Clone(b), held...), nil
		}
		return [][]byte{b}
	}, Run{Counts: job.Counts{Late: 1}})
	f("a byte changed", func(n int64, b []byte) [][]byte {
		if n == 33 {
			b = bytes.Replace(b, []byte(`"trade"`), []byte(`"trads"`), 1)
		}
		return [][]byte{b}
	}, Run{Counts: job.Counts{Lost: 1}, Seen: Seen{Invalid: 1}})
}

// A file that is not a recording, or too short, is reported in one line before anything is measured.
func TestReplayBadInput(t *testing.T) {
	g := newGate(t, "")
	f := func(want, text string, edit func(*FanoutConfig)) {
		t.Helper()
		cfg := g.replay(writeRecording(t, false, text))
		if edit != nil {
			edit(&cfg)
		}
		res, err := Fanout(t.Context(), cfg)
		if !errors.As(err, new(*job.InputError)) || res != nil || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%v; want %q", err, want)
		}
	}
	good := tsv(market(), "")
	f("no such file", good, func(c *FanoutConfig) { c.Replay.File = "/does/not/exist" })
	f("is a directory", good, func(c *FanoutConfig) { c.Replay.File = t.TempDir() })
	f("names no recording", good, func(c *FanoutConfig) { c.Replay.File = "" })
	f("it is empty", "", nil)
	f("line 1: \"1699123456.5: {}\" is not a time, a key and a value", "1699123456.5: {}\n", nil)
	f("line 2: ", "1\tk\t{\"a\":1}\n\n", nil)
	f("line 2: \"x\" is not a time in ns", "1\tk\t{\"a\":1}\nx\tk\t{\"a\":1}\n", nil)
	f("line 1: the value is not a JSON object", "1\tk\t[1]\n", nil)
	f("line 1: the value is not a JSON object", "1\tk\t{\"a\":\n", nil)
	f("line 1: the value is not a JSON object", "1\tk\t{\"a\":\"\xff\"}\n", nil)
	f("empty object", "1\tk\t{ }\n", nil)
	f(`line 1: the value already has a member "#"`, "1\tk\t{\"#\":1}\n", nil)
	f("line 2: its time is before", "2\tk\t{\"a\":1}\n1\tk\t{\"a\":1}\n", nil)
	f("line 2 is longer than 16 MiB", "1\tk\t{\"a\":1}\n2\tk\t{\"a\":\""+strings.Repeat("x", maxLine)+"\"}\n", nil)
	f("line 1: unexpected EOF", "", func(c *FanoutConfig) {
		b, err := os.ReadFile(writeRecording(t, true, good))
		if err != nil {
			t.Fatal(err)
		}
		c.Replay.File = writeRecording(t, false, string(b[:20]))
	})
	f("gzip: invalid header", "\x1f\x8b and no more", nil)
	f("--pace 0", good, func(c *FanoutConfig) { c.Replay.Pace = 0 })
	f("--pace -1", good, func(c *FanoutConfig) { c.Replay.Pace = -1 })
	f("--rate -5", good, func(c *FanoutConfig) { c.Rate = -5 })
	f("keep one", good, func(c *FanoutConfig) { c.Rate, c.Replay.Pace = 5, 2 })
	f("ms at --pace 10, but --warmup and --duration need 1.2s: use --loop", good,
		func(c *FanoutConfig) { c.Replay.Pace = 10 })
	f("has 120 records, but --warmup and --duration need 240 at --rate 200", good,
		func(c *FanoutConfig) { c.Rate = 200 })
	f("all its records have the same time", "5\tk\t{\"a\":1}\n5\tk\t{\"a\":1}\n",
		func(c *FanoutConfig) { c.Replay.Loop = true })
	f("--room", good, func(c *FanoutConfig) { c.Rooms = []string{"a", "b"} })
	f("--protocol", good, func(c *FanoutConfig) { c.Target.Protocol = job.NATS })
}

// The topic has what was recorded, under its recorded key.
func TestReplayKafka(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a broker")
	}
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "market.trades"))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	lines := market()
	cfg := FanoutConfig{Rooms: []string{"trades"}, Duration: time.Second,
		Target: Target{Brokers: broker.ListenAddrs(), Topic: "market.trades"}}
	x := ReplayConfig{File: writeRecording(t, false, tsv(lines, "")), Pace: 1.5}
	if err := x.check(&cfg); err != nil {
		t.Fatal(err)
	}
	r := fanoutRun{cfg: cfg}
	if _, err := r.timing(); err != nil {
		t.Fatal(err)
	}
	var out publish.Published
	if err := r.publish(t.Context(), &r.pubs[0], "market.trades", &out); err != nil || out.Messages == 0 {
		t.Fatalf("%+v, %v", out, err)
	}
	topic := "market.trades"
	c, err := kafka.NewConsumer(&kafka.ConfigMap{
		"bootstrap.servers": strings.Join(broker.ListenAddrs(), ","), "group.id": "t",
		"enable.metrics.push": false,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.Assign([]kafka.TopicPartition{{Topic: &topic, Offset: 0}}); err != nil {
		t.Fatal(err)
	}
	for n := range out.Messages {
		m, err := c.ReadMessage(testwait.Patience)
		if err != nil {
			t.Fatal(err)
		}
		at := len(m.Value) - job.StampSize
		if l := lines[n]; string(m.Key) != l.key || string(m.Value[:at])+"}" != l.value ||
			!job.WholeStamped(m.Value, at) {
			t.Fatalf("message %d is %q: %s", n, m.Key, m.Value)
		}
	}
}
