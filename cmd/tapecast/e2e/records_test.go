package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

const recordsConfig = `
rooms:
  - {match: "ticks", class: stream}
  - {match: "ticks:*", class: stream}
  - {match: "book", class: state2}
  - {match: "raw", class: stream}
  - {match: "bin", class: stream}
classes:
  state2: {retain: {bytes: 8MiB, age: 1m}}
auto_join: [ticks, book]
ingest:
  routes:
    - {topic: ticks, rooms: [ticks, "ticks:{s}"], key: "{s}", type: tick}
    - {topic: book, rooms: [book], key: "{@key}", type: "level", tombstones: true}
    - {topic: raw, rooms: [raw], envelope: none}
    - {topic: bin, rooms: [bin], envelope: none, format: binary}
`

// TestBadRecordsAreCountedAndSkipped: records without JSON, with bad UTF-8, of 5 MB, and without a
// routed field. Each is counted, logged with its position, and sent to the dead-letter topic if it
// fits. The stream goes on.
func TestBadRecordsAreCountedAndSkipped(t *testing.T) {
	besideOthers(t)
	onEach(t, func(t *testing.T, k *cluster) {
		for _, name := range []string{"ticks", "book", "raw", "bin", "dead"} {
			k.topic(t, name, 1)
		}
		dead := strings.Replace(kafkaSection(k), "kafka: {", "kafka: {dead_letter: dead, max_record: 1MiB, ", 1)
		g := start(t, config(k, "\n"+dead+recordsConfig))
		c := join(t, g, "1")
		w := k.producer(t)

		want, bad := sendBadTicks(w) // their offsets
		c.await("the good ones", func() bool { return len(c.rooms["ticks"].frames) >= len(want) })
		c.mu.Lock()
		for i, f := range c.rooms["ticks"].frames {
			if f.off != want[i] || string(f.data) != string(tickValue(i)) || f.key != fmt.Sprint("S", i%5) {
				t.Errorf("frame %d is %d %q %.100s, want %d %s", i, f.off, f.key, f.data, want[i], tickValue(i))
			}
		}
		c.mu.Unlock()
		for _, off := range bad {
			g.waitLog(patience, "bad record skipped", func(l logLine) bool {
				return l["topic"] == k.name("ticks") && l["partition"] == 0.0 && l["offset"] == float64(off)
			})
		}
		if n := g.metric("tapecast_ingest_bad_total"); n != float64(len(bad)) {
			t.Errorf("%v bad records are counted, want %d", n, len(bad))
		}
		eventually(t, patience, "the dead letters", func() bool {
			return len(k.read(t, "dead")[0]) >= len(bad)-1 // 5 MB may be too long for a letter
		})

		// Tombstones that are configured become data: null.
		w.send("book", 0, []byte("b1"), []byte(`{"px":1}`))
		w.send("book", 0, []byte("b1"), nil)
		w.flush()
		c.await("a tombstone", func() bool { return len(c.rooms["book"].frames) >= 2 })
		c.mu.Lock()
		if f := c.rooms["book"].frames[1]; string(f.data) != "null" || f.key != "b1" {
			t.Errorf("a tombstone is %+v", f)
		}
		c.mu.Unlock()
		c.check()
		bareRooms(t, g, w)
	})
}

func tickValue(i int) []byte { return fmt.Appendf(nil, `{"s":"S%d","i":%d}`, i%5, i) }

// sendBadTicks sends bad records, each between good ones, and returns the offsets of both.
func sendBadTicks(w *producer) (good, bad []int64) {
	at := int64(0)
	send := func(list *[]int64, value []byte) {
		w.send("ticks", 0, []byte("k"), value)
		*list = append(*list, at)
		at++
	}
	for i, v := range [][]byte{
		[]byte(`{"s":"S1"`),
		[]byte(`hello`),
		{},
		[]byte("{\"s\":\"S1\",\"x\":\"\xff\xfe\"}"),
		append(append([]byte(`{"s":"S1","x":"`), bytes.Repeat([]byte("x"), 5<<20)...), `"}`...),
		[]byte(`{"price":1}`),
		[]byte(`{"s":{"a":1}}`),
		[]byte(`{"s":null}`),
		nil, // a tombstone where none was configured
	} {
		send(&good, tickValue(3*i))
		send(&good, tickValue(3*i+1))
		send(&bad, v)
		send(&good, tickValue(3*i+2))
	}
	w.flush()
	return good, bad
}

// bareRooms: a bare room sends the Kafka value itself, and a connection has one such room.
func bareRooms(t *testing.T, g *gateway, w *producer) {
	t.Helper()
	text, bin := join(t, g, "2"), join(t, g, "3")
	subscribe := func(c *client, room string) *rpcError {
		t.Helper()
		r := c.call("subscribe", map[string]any{"rooms": []string{room}})
		if got := roomReplies(r.Result); len(got) == 1 {
			return got[0].Error
		}
		return r.Error
	}
	if e := subscribe(text, "raw"); e != nil {
		t.Fatalf("raw: %+v", *e)
	}
	if e := subscribe(bin, "bin"); e != nil {
		t.Fatalf("bin: %+v", *e)
	}
	if e := subscribe(bin, "raw"); e == nil || e.Code != -32005 && e.Code != -32009 {
		t.Errorf("a second bare room on one connection: %+v", e)
	}
	value := []byte(` {"a" : [1, 2] , "b":"ü"} `)
	binary := []byte{0, 1, 2, 0xff, '{'}
	w.send("raw", 0, nil, value, kafka.Header{Key: "h", Value: []byte("x")})
	w.send("bin", 0, nil, binary)
	w.flush()
	text.await("a bare value", func() bool { return len(text.bare) > 0 })
	bin.await("a bare value", func() bool { return len(bin.bare) > 0 })
	if !bytes.Equal(text.bare[0], value) || !bytes.Equal(bin.bare[0], binary) {
		t.Errorf("bare values came as %q and %q", text.bare[0], bin.bare[0])
	}
	for _, c := range []*client{text, bin} {
		c.check()
		c.leave()
	}
}
