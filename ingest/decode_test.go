package ingest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/rooms"
)

// sent is what a decoder has added, one line a record: room type key value.
type sent []string

func (s *sent) add(r *rooms.Record) {
	key := "-"
	if r.HasKey {
		key = string(r.Key)
	}
	value := "null"
	if r.Value != nil {
		value = string(r.Value)
	}
	line := fmt.Sprintf("%s %s %s %s", r.Room, r.Type, key, value)
	if r.Binary {
		line += " binary"
	}
	*s = append(*s, line)
}

// message makes a record; headers come as name, value.
func message(key, value string, headers ...string) *record {
	m := &record{partition: 2, offset: 7, time: 1699123456789, key: []byte(key), value: []byte(value)}
	if value == "null" {
		m.value = nil
	}
	if key == "null" {
		m.key = nil
	}
	for i := 0; i < len(headers); i += 2 {
		m.headers = append(m.headers, kafka.Header{Key: headers[i], Value: []byte(headers[i+1])})
	}
	return m
}

// routed compiles routes of topic "t" and returns a check of one record: the
// reason it is bad for, and what was sent.
func routed(t *testing.T, routes ...Route) func(m *record, why reason, want ...string) {
	t.Helper()
	for i := range routes {
		routes[i].Topic = "t"
	}
	topic := compile(t, testCatalog(t), routes...).byName["t"]
	var out sent
	d := newDecoder(1<<20, out.add)
	return func(m *record, why reason, want ...string) {
		t.Helper()
		out = nil
		if got := d.route(topic, m); got.reason != why {
			t.Errorf("%s: reason %q (%s), want %q", m.value, got.reason, got.detail(), why)
		} else if (why != 0) != (got.detail() != "") {
			t.Errorf("reason %q has the detail %q", why, got.detail())
		}
		if g, w := strings.Join(out, "\n"), strings.Join(want, "\n"); g != w {
			t.Errorf("%s:\n%s\nwant\n%s", m.value, g, w)
		}
	}
}

func TestDecodeTicker(t *testing.T) {
	f := routed(t, Route{Rooms: []string{"prices", "prices:{s}"}, Key: "{s}", Type: "price_update"})
	v := `{"e":"24hrTicker", "s":"BTCUSDT","c":"1.0"}`
	f(message("x", v), 0, "prices price_update BTCUSDT "+v, "prices:BTCUSDT price_update BTCUSDT "+v)
	f(message("x", `{"s":12}`), 0, `prices price_update 12 {"s":12}`, `prices:12 price_update 12 {"s":12}`)
	f(message("x", `{"s":-12}`), 0, `prices price_update -12 {"s":-12}`, `prices:-12 price_update -12 {"s":-12}`)
	f(message("x", `{"s":"A\u002fB"}`), 0, `prices price_update A/B {"s":"A\u002fB"}`, `prices:A/B price_update A/B {"s":"A\u002fB"}`)

	f(message("x", `{"s":1.5}`), badField)
	f(message("x", `{"s":1e3}`), badField)
	f(message("x", `{"s":true}`), badField)
	f(message("x", `{"s":null}`), badField)
	f(message("x", `{"s":{}}`), badField)
	f(message("x", `{"s":["a"]}`), badField)
	f(message("x", `{"s":""}`), badField)
	f(message("x", `{"S":"BTC"}`), badField)
	f(message("x", `[]`), badField)
	f(message("x", `null `), badField)
	f(message("x", `null`), badField) // a tombstone
	f(message("x", ``), badJSON)
	f(message("x", `{"s":"BTC"`), badJSON)
	f(message("x", `hello`), badJSON)
	f(message("x", "{\"s\":\"B\xffC\"}"), badUTF8)
	f(message("x", `{"s":"`+strings.Repeat("x", rooms.MaxName)+`"}`), badRoom)
	f(message("x", `{"s":"`+strings.Repeat("x", 1<<20)+`"}`), badSize)
	f(message(strings.Repeat("k", 1<<20), `{"s":"B"}`), badSize)
}

func TestDecodeChecksValueThatNoTemplateReads(t *testing.T) {
	f := routed(t, Route{Rooms: []string{"orders:{@key}"}, Type: "order_update"})
	f(message("42", `{"a":1}`), 0, `orders:42 order_update - {"a":1}`)
	f(message("42", `null`), 0, `orders:42 order_update - null`) // a tombstone
	f(message("42", `{"a":}`), badJSON)
	f(message("42", "\"\xff\""), badUTF8)
	f(message("null", `{}`), badField)
	f(message("", `{}`), badField)
	f(message("\xff", `{}`), badRoom)
	f(message(strings.Repeat("k", rooms.MaxName), `{}`), badRoom)
}

func TestDecodeEnvelopes(t *testing.T) {
	f := routed(t,
		Route{Match: map[string]string{"metadata.eventType": "portfolio.*"}, Rooms: []string{"portfolio:{metadata.userId}"}, Key: "{data.asset}", Payload: "data", Type: "portfolio_update"},
		Route{Match: map[string]string{"metadata.eventType": "system.*"}, Rooms: []string{"system_alerts"}, Payload: "data", Type: "{metadata.eventType}"},
		Route{Match: map[string]string{"metadata.eventType": "user.*", "metadata.urgent": "true"}, Rooms: []string{"user:{metadata.userId}"}},
	)
	f(message("x", `{"metadata":{"eventType":"portfolio.update","userId":42},"data":{ "asset":"BTC","free": "1.0" }}`), 0,
		`portfolio:42 portfolio_update BTC { "asset":"BTC","free": "1.0" }`)
	f(message("x", `{"data": [1, 2],"metadata":{"eventType":"system.halt"}}`), 0, `system_alerts system.halt - [1, 2]`)
	f(message("x", `{"data":null,"metadata":{"eventType":"system.on"}}`), 0, `system_alerts system.on - null`)
	f(message("x", `{"metadata":{"eventType":"user.hi","userId":"7","urgent":true}}`), 0,
		`user:7 t - {"metadata":{"eventType":"user.hi","userId":"7","urgent":true}}`)
	f(message("x", `{"metadata":{"eventType":"user.hi","userId":"7","urgent":false}}`), unmatched)
	f(message("x", `{"metadata":{"eventType":"user.hi","userId":"7","urgent":{}}}`), unmatched)
	f(message("x", `{"metadata":{"eventType":"order.new"},"data":1}`), unmatched)
	f(message("x", `{"metadata":{"eventType":"system.halt"}}`), badField)
	f(message("x", `{"metadata":{"eventType":"portfolio.x","userId":42},"data":{}}`), badField)
	f(message("x", `{"metadata":5}`), unmatched)
	f(message("x", `null`), badField) // a tombstone: nobody knows whose
}

func TestDecodeHeaders(t *testing.T) {
	f := routed(t, Route{Match: map[string]string{"@header.kind": "trade", "@key": "B*"}, Rooms: []string{"trades:{@header.symbol}"}, Key: "{@key}", Type: "{@header.kind}"})
	f(message("BTC", `1`, "symbol", "old", "kind", "trade", "symbol", "BTC"), 0, "trades:BTC trade BTC 1") // the last header counts
	f(message("BTC", `1`, "kind", "trade"), badField)
	f(message("BTC", `1`, "kind", "quote", "symbol", "BTC"), unmatched)
	f(message("ETH", `1`, "kind", "trade", "symbol", "BTC"), unmatched)
	f(message("BTC", `1`, "kind", "trade", "symbol", "\xff"), badRoom)
	f(message("BTC", `1`), unmatched)
}

func TestDecodeBare(t *testing.T) {
	f := routed(t, Route{Rooms: []string{"raw"}, Envelope: "none", Format: "binary"})
	f(message("x", "\x00\xff"), 0, "raw t - \x00\xff binary")
	f(message("x", ""), 0, "raw t -  binary")
	f(message("x", "null"), 0) // a tombstone has no value to send
	f = routed(t, Route{Rooms: []string{"raw"}, Envelope: "none"})
	f(message("x", "{}"), 0, "raw t - {}")
	f(message("x", "\xff"), badJSON)
}

// A value that is no JSON still reaches the rooms that take any bytes.
func TestDecodeMixedFormats(t *testing.T) {
	f := routed(t,
		Route{Rooms: []string{"raw"}, Envelope: "none", Format: "binary"},
		Route{Rooms: []string{"trades"}},
	)
	f(message("x", "{}"), 0, "raw t - {} binary", "trades t - {}")
	f(message("x", "{"), badJSON, "raw t - { binary")
}

func TestDecodeSpecialPatterns(t *testing.T) {
	c := testCatalog(t)
	r := compile(t, c,
		Route{Topic: "totals", Rooms: []string{"trades:TOTAL"}},
		Route{Topic: "trades", Rooms: []string{"trades:{s}"}},
	)
	f := func(value, match string, why reason) {
		t.Helper()
		var got *rooms.Pattern
		d := newDecoder(1<<20, func(r *rooms.Record) { got = r.Pattern })
		if b := d.route(r.byName["trades"], message("", value)); b.reason != why {
			t.Errorf("%s: reason %q, want %q", value, b.reason, why)
		}
		if (got == nil) != (match == "") || got != nil && got.Match != match {
			t.Errorf("%s: pattern %v, want %q", value, got, match)
		}
	}
	f(`{"s":"BTC"}`, "trades:*", 0)
	f(`{"s":"index:BTC"}`, "trades:index:*", 0)
	f(`{"s":"TOTAL"}`, "", badRoom) // the other topic's room
}

// Two templates that may give one name: a record goes there once.
func TestDecodeSameRoomOnce(t *testing.T) {
	f := routed(t, Route{Rooms: []string{"user:{maker}", "user:{taker}"}, Type: "fill"})
	f(message("", `{"maker":1,"taker":2}`), 0, `user:1 fill - {"maker":1,"taker":2}`, `user:2 fill - {"maker":1,"taker":2}`)
	f(message("", `{"maker":1,"taker":1}`), 0, `user:1 fill - {"maker":1,"taker":1}`)
	f(message("", `{"maker":2,"taker":1}`), 0, `user:2 fill - {"maker":2,"taker":1}`, `user:1 fill - {"maker":2,"taker":1}`)
	f(message("", `{"maker":1}`), badField) // to neither
}

func TestDecodeFillsIn(t *testing.T) {
	topic := compile(t, testCatalog(t), Route{Topic: "t", Rooms: []string{"orders:{@key}"}, Partitioner: "murmur2"}).byName["t"]
	topic.feed.Open("e", 3)
	var got rooms.Record
	d := newDecoder(1<<20, func(r *rooms.Record) { got = *r })
	m := message("42", `{}`)
	m.partition = murmur2([]byte("42"), 3)
	d.counts = []int32{3}
	if b := d.route(topic, m); b.reason != 0 {
		t.Fatal(b.detail())
	}
	if got.Partition != m.partition || got.Offset != 7 || got.Time != 1699123456789 {
		t.Errorf("place %d:%d at %d", got.Partition, got.Offset, got.Time)
	}
	if d.misplaced {
		t.Error("a record in its partitioner's partition counts as misplaced")
	}
	m.partition = (m.partition + 1) % 3
	if d.route(topic, m); !d.misplaced {
		t.Error("a record in another partition than its partitioner's is not noticed")
	}
	// A producer that does not know yet that the topic has grown.
	m.partition, d.counts = murmur2([]byte("42"), 2), []int32{6, 2}
	if d.route(topic, m); d.misplaced || murmur2([]byte("42"), 6) == m.partition {
		t.Error("a record counts as misplaced that is where it was before the topic grew")
	}
	m.time = -1
	before := time.Now().UnixMilli()
	if d.route(topic, m); got.Time < before {
		t.Errorf("a record without a time is at %d", got.Time)
	}
}

func TestDecodeInternsTypes(t *testing.T) {
	topic := compile(t, testCatalog(t), Route{Topic: "t", Rooms: []string{"trades"}, Type: "{e}"}).byName["t"]
	d := newDecoder(1<<20, func(*rooms.Record) {})
	for i := range 3 * maxTypes {
		d.route(topic, message("", fmt.Sprintf(`{"e":"type%d"}`, i)))
	}
	if len(d.types) != maxTypes {
		t.Errorf("%d types are interned, want %d", len(d.types), maxTypes)
	}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	r := compile(t, testCatalog(t),
		Route{Topic: "t", Rooms: []string{"prices", "prices:{s}"}, Key: "{s}", Type: "{e}"},
		Route{Topic: "t", Match: map[string]string{"data.x": "y*"}, Rooms: []string{"trades:{@key}"}, Payload: "data"},
	)
	d := newDecoder(1<<20, func(*rooms.Record) {})
	m := message("index:1", `{"e":"trade","s":"BTC\u0055SDT","data":{"x":"yes","z":[1,2,3]}}`)
	if n := testing.AllocsPerRun(100, func() {
		if b := d.route(r.byName["t"], m); b.reason != 0 {
			t.Fatal(b.detail())
		}
	}); n != 0 {
		t.Errorf("%v allocations a record", n)
	}
}

// FuzzDecode looks for records that panic, or that reach a room as something else than they
// are, and frames that no client could read: what is sent is built as for clients that
// resume, which is what is sent live too.
func FuzzDecode(f *testing.F) {
	for _, v := range []string{`{"s":"BTC","metadata":{"eventType":"a.b","userId":1},"data":{"asset":"x"}}`, `{"metadata":{"eventType":"a"}}`, `[`, "\xff", `{"s":"\ud800"}`, "{\"s\":\"x\xffyyyyyyyyyyyyyyyy\"}", "{\"s\":\"yyyyyyyy\xc3\xa9\"}", `{"s":1,"s":2}`} {
		f.Add([]byte("key"), []byte(v), []byte("head\xdfer"))
	}
	f.Add([]byte("\xfc"), []byte(`{}`), []byte(`"`))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 200}, []byte(`1`), []byte("a\nb*\x00"))
	routes := []Route{
		{Topic: "t", Rooms: []string{"prices", "prices:{s}"}, Key: "{s}"},
		{Topic: "t", Match: map[string]string{"metadata.eventType": "a*"}, Rooms: []string{"portfolio:{metadata.userId}"}, Key: "{data.asset}", Payload: "data"},
		{Topic: "t", Rooms: []string{"orders:{@key}"}, Type: "{@header.h}", Key: "{@header.h}"},
		{Topic: "t", Rooms: []string{"trades:{@header.h}"}, Type: "{s}", Key: "{@key}"},
		{Topic: "t", Rooms: []string{"trades:TOTAL", "notifications:{@key}"}, Type: "{@key}", Key: "{@key}", KeyFormat: "int64"},
		{Topic: "t", Rooms: []string{"own:{@key}"}, Key: "{@key}", KeyFormat: "base64"},
	}
	router := compile(f, testCatalog(f), routes...)
	f.Fuzz(func(t *testing.T, key, value, header []byte) {
		topic := router.byName["t"]
		d := newDecoder(1<<20, func(r *rooms.Record) {
			if !strings.Contains(string(value), string(r.Value)) {
				t.Fatalf("%q was sent as %q", value, r.Value)
			}
			if p, _, ok := topic.resolve(string(r.Room)); !ok || p != r.Pattern {
				t.Fatalf("room %q was sent to %v", r.Room, r.Pattern)
			}
			checkFrame(t, r)
		})
		m := message("", "", "h", string(header))
		m.key, m.value = key, value
		d.route(topic, m)
	})
}

// checkFrame checks that a record's frame is UTF-8 and JSON, and says what the record does.
func checkFrame(t testing.TB, r *rooms.Record) {
	t.Helper()
	past := rooms.NewPast(r.Pattern, string(r.Room), []rooms.Record{*r}, nil)
	_, pieces := past.Cut(0, 1<<30, &rooms.Sift{}, []rooms.Pos{{Partition: r.Partition, Offset: r.Offset}}, nil)
	text := textsOf(pieces[0].Bytes)[0]
	var got struct {
		Room, Type string
		Key        *string
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil || !utf8.ValidString(text) {
		t.Fatalf("the frame %q is not JSON in UTF-8: %v", text, err)
	}
	if got.Room != string(r.Room) || got.Type != r.Type || r.HasKey && *got.Key != string(r.Key) {
		t.Fatalf("the frame %q says other things than %q %q %q", text, r.Room, r.Type, r.Key)
	}
	if owner, ok := strings.CutPrefix(got.Room, r.Pattern.Prefix()); r.Pattern.Class.Private() && (!ok || !rooms.CanOwn(owner)) ||
		strings.ContainsAny(got.Room, "*\n\x00") {
		t.Fatalf("nobody can own %q, or name it", got.Room)
	}
}
