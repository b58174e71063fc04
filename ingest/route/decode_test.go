package route

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/rooms"
)

// sent lists the records that a decoder has added, one line each: room type key value.
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

// message returns a record. The headers are pairs of name and value.
func message(key, value string, headers ...string) *Record {
	m := &Record{Partition: 2, Offset: 7, Time: 1699123456789, Key: []byte(key), Value: []byte(value)}
	if value == "null" {
		m.Value = nil
	}
	if key == "null" {
		m.Key = nil
	}
	for i := 0; i < len(headers); i += 2 {
		m.Headers = append(m.Headers, kafka.Header{Key: headers[i], Value: []byte(headers[i+1])})
	}
	return m
}

// routed compiles routes of topic "t". It returns a function that checks one record: its
// reason, and the records that were sent.
func routed(t *testing.T, routes ...Route) func(m *Record, why Reason, want ...string) {
	t.Helper()
	for i := range routes {
		routes[i].Topic = "t"
	}
	topic := compile(t, testCatalog(t), routes...).Topic("t")
	var out sent
	d := NewDecoder(1<<20, out.add)
	return func(m *Record, why Reason, want ...string) {
		t.Helper()
		out = nil
		if got := d.Route(topic, m); got.Reason != why {
			t.Errorf("%s: reason %q (%s), want %q", m.Value, got.Reason, got.Detail(), why)
		} else if (why != 0) != (got.Detail() != "") {
			t.Errorf("reason %q has the detail %q", why, got.Detail())
		}
		if g, w := strings.Join(out, "\n"), strings.Join(want, "\n"); g != w {
			t.Errorf("%s:\n%s\nwant\n%s", m.Value, g, w)
		}
	}
}

func TestDecodeTicker(t *testing.T) {
	f := routed(t, Route{Rooms: []string{"prices", "prices:{s}"}, Key: "{s}", Type: "price_update"})
	v := `{"e":"24hrTicker", "s":"BTCUSDT","c":"1.0"}`
	f(message("x", v), 0, "prices price_update BTCUSDT "+v, "prices:BTCUSDT price_update BTCUSDT "+v)
	f(message("x", `{"s":12}`), 0, `prices price_update 12 {"s":12}`, `prices:12 price_update 12 {"s":12}`)
	f(message("x", `{"s":-12}`), 0, `prices price_update -12 {"s":-12}`, `prices:-12 price_update -12 {"s":-12}`)
	f(message("x", `{"s":"A\u002fB"}`), 0, `prices price_update A/B {"s":"A\u002fB"}`,
		`prices:A/B price_update A/B {"s":"A\u002fB"}`)

	f(message("x", `{"s":1.5}`), BadField)
	f(message("x", `{"s":1e3}`), BadField)
	f(message("x", `{"s":true}`), BadField)
	f(message("x", `{"s":null}`), BadField)
	f(message("x", `{"s":{}}`), BadField)
	f(message("x", `{"s":["a"]}`), BadField)
	f(message("x", `{"s":""}`), BadField)
	f(message("x", `{"S":"BTC"}`), BadField)
	f(message("x", `[]`), BadField)
	f(message("x", `null `), BadField)
	f(message("x", `null`), BadField) // a tombstone
	f(message("x", ``), BadJSON)
	f(message("x", `{"s":"BTC"`), BadJSON)
	f(message("x", `hello`), BadJSON)
	f(message("x", "{\"s\":\"B\xffC\"}"), BadUTF8)
	f(message("x", `{"s":"`+strings.Repeat("x", rooms.MaxName)+`"}`), BadRoom)
	f(message("x", `{"s":"`+strings.Repeat("x", 1<<20)+`"}`), BadSize)
	f(message(strings.Repeat("k", 1<<20), `{"s":"B"}`), BadSize)
}

func TestDecodeChecksValueThatNoTemplateReads(t *testing.T) {
	f := routed(t, Route{Rooms: []string{"orders:{@key}"}, Type: "order_update"})
	f(message("42", `{"a":1}`), 0, `orders:42 order_update - {"a":1}`)
	f(message("42", `null`), 0, `orders:42 order_update - null`) // a tombstone
	f(message("42", `{"a":}`), BadJSON)
	f(message("42", "\"\xff\""), BadUTF8)
	f(message("null", `{}`), BadField)
	f(message("", `{}`), BadField)
	f(message("\xff", `{}`), BadRoom)
	f(message(strings.Repeat("k", rooms.MaxName), `{}`), BadRoom)
}

func TestDecodeEnvelopes(t *testing.T) {
	f := routed(t,
		Route{Match: map[string]string{"metadata.eventType": "portfolio.*"},
			Rooms: []string{"portfolio:{metadata.userId}"}, Key: "{data.asset}", Payload: "data",
			Type: "portfolio_update"},
		Route{Match: map[string]string{"metadata.eventType": "system.*"}, Rooms: []string{"system_alerts"},
			Payload: "data", Type: "{metadata.eventType}"},
		Route{Match: map[string]string{"metadata.eventType": "user.*", "metadata.urgent": "true"},
			Rooms: []string{"user:{metadata.userId}"}},
	)
	f(message("x", `{"metadata":{"eventType":"portfolio.update","userId":42},"data":{ "asset":"BTC","free": "1.0" `+
		`}}`), 0,
		`portfolio:42 portfolio_update BTC { "asset":"BTC","free": "1.0" }`)
	f(message("x", `{"data": [1, 2],"metadata":{"eventType":"system.halt"}}`), 0, `system_alerts system.halt - [1, 2]`)
	f(message("x", `{"data":null,"metadata":{"eventType":"system.on"}}`), 0, `system_alerts system.on - null`)
	f(message("x", `{"metadata":{"eventType":"user.hi","userId":"7","urgent":true}}`), 0,
		`user:7 t - {"metadata":{"eventType":"user.hi","userId":"7","urgent":true}}`)
	f(message("x", `{"metadata":{"eventType":"user.hi","userId":"7","urgent":false}}`), Unmatched)
	f(message("x", `{"metadata":{"eventType":"user.hi","userId":"7","urgent":{}}}`), Unmatched)
	f(message("x", `{"metadata":{"eventType":"order.new"},"data":1}`), Unmatched)
	f(message("x", `{"metadata":{"eventType":"system.halt"}}`), BadField)
	f(message("x", `{"metadata":{"eventType":"portfolio.x","userId":42},"data":{}}`), BadField)
	f(message("x", `{"metadata":5}`), Unmatched)
	f(message("x", `null`), Unmatched) // a tombstone
	f(message("x", ``), BadJSON)       // an empty value is not one
	for _, v := range []string{`7`, `"portfolio.x"`, `true`, `[{"metadata":{"eventType":"system.on"}}]`, `{}`,
		`{"metadata":{"eventType":{}}}`} {
		f(message("x", v), Unmatched) // it has no field that a match could name
	}
}

func TestDecodeHeaders(t *testing.T) {
	f := routed(t, Route{Match: map[string]string{"@header.kind": "trade", "@key": "B*"},
		Rooms: []string{"trades:{@header.symbol}"}, Key: "{@key}", Type: "{@header.kind}"})
	// the last header counts
	f(message("BTC", `1`, "symbol", "old", "kind", "trade", "symbol", "BTC"), 0, "trades:BTC trade BTC 1")
	f(message("BTC", `1`, "kind", "trade"), BadField)
	f(message("BTC", `1`, "kind", "quote", "symbol", "BTC"), Unmatched)
	f(message("ETH", `1`, "kind", "trade", "symbol", "BTC"), Unmatched)
	f(message("BTC", `1`, "kind", "trade", "symbol", "\xff"), BadRoom)
	f(message("BTC", `1`), Unmatched)
}

func TestDecodeBare(t *testing.T) {
	f := routed(t, Route{Rooms: []string{"raw"}, Envelope: "none", Format: "binary"})
	f(message("x", "\x00\xff"), 0, "raw t - \x00\xff binary")
	f(message("x", ""), 0, "raw t -  binary")
	f(message("x", "null"), 0) // a tombstone has no value to send
	f = routed(t, Route{Rooms: []string{"raw"}, Envelope: "none"})
	f(message("x", "{}"), 0, "raw t - {}")
	f(message("x", "\xff"), BadJSON)
}

// A value that is not JSON still reaches rooms that take any bytes.
func TestDecodeMixedFormats(t *testing.T) {
	f := routed(t,
		Route{Rooms: []string{"raw"}, Envelope: "none", Format: "binary"},
		Route{Rooms: []string{"trades"}},
	)
	f(message("x", "{}"), 0, "raw t - {} binary", "trades t - {}")
	f(message("x", "{"), BadJSON, "raw t - { binary")
}

func TestDecodeSpecialPatterns(t *testing.T) {
	c := testCatalog(t)
	r := compile(t, c,
		Route{Topic: "totals", Rooms: []string{"trades:TOTAL"}},
		Route{Topic: "trades", Rooms: []string{"trades:{s}"}},
	)
	f := func(value, match string, why Reason) {
		t.Helper()
		var got *rooms.Pattern
		d := NewDecoder(1<<20, func(r *rooms.Record) { got = r.Pattern })
		if b := d.Route(r.byName["trades"], message("", value)); b.Reason != why {
			t.Errorf("%s: reason %q, want %q", value, b.Reason, why)
		}
		if (got == nil) != (match == "") || got != nil && got.Match != match {
			t.Errorf("%s: pattern %v, want %q", value, got, match)
		}
	}
	f(`{"s":"BTC"}`, "trades:*", 0)
	f(`{"s":"index:BTC"}`, "trades:index:*", 0)
	f(`{"s":"TOTAL"}`, "", BadRoom) // the other topic's room
}

// Two templates may give one name. A record goes to that room once.
func TestDecodeSameRoomOnce(t *testing.T) {
	f := routed(t, Route{Rooms: []string{"user:{maker}", "user:{taker}"}, Type: "fill"})
	f(message("", `{"maker":1,"taker":2}`), 0, `user:1 fill - {"maker":1,"taker":2}`,
		`user:2 fill - {"maker":1,"taker":2}`)
	f(message("", `{"maker":1,"taker":1}`), 0, `user:1 fill - {"maker":1,"taker":1}`)
	f(message("", `{"maker":2,"taker":1}`), 0, `user:2 fill - {"maker":2,"taker":1}`,
		`user:1 fill - {"maker":2,"taker":1}`)
	f(message("", `{"maker":1}`), BadField) // to neither
}

func TestDecodeFillsIn(t *testing.T) {
	topic := compile(t, testCatalog(t),
		Route{Topic: "t", Rooms: []string{"orders:{@key}"}, Partitioner: "murmur2"}).Topic("t")
	topic.Feed.Open("e", 3)
	var got rooms.Record
	d := NewDecoder(1<<20, func(r *rooms.Record) { got = *r })
	m := message("42", `{}`)
	m.Partition = murmur2([]byte("42"), 3)
	d.Counts = []int32{3}
	if b := d.Route(topic, m); b.Reason != 0 {
		t.Fatal(b.Detail())
	}
	if got.Partition != m.Partition || got.Offset != 7 || got.Time != 1699123456789 {
		t.Errorf("partition %d, offset %d, time %d", got.Partition, got.Offset, got.Time)
	}
	if d.Misplaced {
		t.Error("a record in its partitioner's partition counts as misplaced")
	}
	m.Partition = (m.Partition + 1) % 3
	if d.Route(topic, m); !d.Misplaced {
		t.Error("a record in another partition than its partitioner's is not noticed")
	}
	// The producer does not know yet that the topic has grown.
	m.Partition, d.Counts = murmur2([]byte("42"), 2), []int32{6, 2}
	if d.Route(topic, m); d.Misplaced || murmur2([]byte("42"), 6) == m.Partition {
		t.Error("a record in its partition of before the topic grew counts as misplaced")
	}
	m.Time = -1
	before := time.Now().UnixMilli()
	if d.Route(topic, m); got.Time < before {
		t.Errorf("a record without a time gets time %d", got.Time)
	}
}

func TestDecodeInternsTypes(t *testing.T) {
	topic := compile(t, testCatalog(t), Route{Topic: "t", Rooms: []string{"trades"}, Type: "{e}"}).Topic("t")
	d := NewDecoder(1<<20, func(*rooms.Record) {})
	for i := range 3 * maxTypes {
		d.Route(topic, message("", fmt.Sprintf(`{"e":"type%d"}`, i)))
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
	d := NewDecoder(1<<20, func(*rooms.Record) {})
	m := message("index:1", `{"e":"trade","s":"BTC\u0055SDT","data":{"x":"yes","z":[1,2,3]}}`)
	if n := testing.AllocsPerRun(100, func() {
		if b := d.Route(r.Topic("t"), m); b.Reason != 0 {
			t.Fatal(b.Detail())
		}
	}); n != 0 {
		t.Errorf("%v allocations a record", n)
	}
}

// FuzzDecode looks for records that panic, records that reach a room with another value, and
// frames that no client could read. It builds frames as for clients that resume: live frames
// are the same.
func FuzzDecode(f *testing.F) {
	for _, v := range []string{`{"s":"BTC","metadata":{"eventType":"a.b","userId":1},"data":{"asset":"x"}}`,
		`{"metadata":{"eventType":"a"}}`, `[`, "\xff", `{"s":"\ud800"}`, "{\"s\":\"x\xffyyyyyyyyyyyyyyyy\"}",
		"{\"s\":\"yyyyyyyy\xc3\xa9\"}", `{"s":1,"s":2}`} {
		f.Add([]byte("key"), []byte(v), []byte("head\xdfer"))
	}
	f.Add([]byte("\xfc"), []byte(`{}`), []byte(`"`))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 200}, []byte(`1`), []byte("a\nb*\x00"))
	routes := []Route{
		{Topic: "t", Rooms: []string{"prices", "prices:{s}"}, Key: "{s}"},
		{Topic: "t", Match: map[string]string{"metadata.eventType": "a*"},
			Rooms: []string{"portfolio:{metadata.userId}"}, Key: "{data.asset}", Payload: "data"},
		{Topic: "t", Rooms: []string{"orders:{@key}"}, Type: "{@header.h}", Key: "{@header.h}"},
		{Topic: "t", Rooms: []string{"trades:{@header.h}"}, Type: "{s}", Key: "{@key}"},
		{Topic: "t", Rooms: []string{"trades:TOTAL", "notifications:{@key}"}, Type: "{@key}", Key: "{@key}",
			KeyFormat: "int64"},
		{Topic: "t", Rooms: []string{"own:{@key}"}, Key: "{@key}", KeyFormat: "base64"},
	}
	router := compile(f, testCatalog(f), routes...)
	f.Fuzz(func(t *testing.T, key, value, header []byte) {
		topic := router.Topic("t")
		d := NewDecoder(1<<20, func(r *rooms.Record) {
			if !strings.Contains(string(value), string(r.Value)) {
				t.Fatalf("%q was sent as %q", value, r.Value)
			}
			if p, _, ok := topic.resolve(string(r.Room)); !ok || p != r.Pattern {
				t.Fatalf("room %q was sent to %v", r.Room, r.Pattern)
			}
			checkFrame(t, r)
		})
		m := message("", "", "h", string(header))
		m.Key, m.Value = key, value
		d.Route(topic, m)
	})
}

// checkFrame checks that a record's frame is UTF-8 and JSON, and has the record's room, type
// and key.
func checkFrame(t testing.TB, r *rooms.Record) {
	t.Helper()
	past := rooms.NewPast(r.Pattern, string(r.Room), []rooms.Record{*r}, nil)
	_, pieces := past.Cut(0, 1<<30, &rooms.Filter{}, []rooms.Pos{{Partition: r.Partition, Offset: r.Offset}}, nil)
	text := textsOf(pieces[0].Bytes)[0]
	var got struct {
		Room, Type string
		Key        *string
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil || !utf8.ValidString(text) {
		t.Fatalf("the frame %q is not JSON in UTF-8: %v", text, err)
	}
	if got.Room != string(r.Room) || got.Type != r.Type || r.HasKey && *got.Key != string(r.Key) {
		t.Fatalf("the frame %q differs from %q %q %q", text, r.Room, r.Type, r.Key)
	}
	if owner, ok := strings.CutPrefix(got.Room, r.Pattern.Prefix()); r.Pattern.Class.Private() &&
		(!ok || !rooms.CanOwn(owner)) ||
		strings.ContainsAny(got.Room, "*\n\x00") {
		t.Fatalf("no user can own %q, or no client can name it", got.Room)
	}
}

// textsOf returns the payloads of frames that lie back to back.
func textsOf(b []byte) (texts []string) {
	for len(b) > 0 {
		n, head := int(b[1]), 2
		switch n {
		case 126:
			n, head = int(binary.BigEndian.Uint16(b[2:])), 4
		case 127:
			n, head = int(binary.BigEndian.Uint64(b[2:])), 10
		}
		texts = append(texts, string(b[head:head+n]))
		b = b[head+n:]
	}
	return texts
}
