package rooms

import (
	"encoding/json"
	"testing"

	"tapecast/rooms/wire"
)

// The frame of DESIGN section 6, item 5.
func TestEnvelope(t *testing.T) {
	feed := newOpenFeed(4)
	m := newManual(t, Config{},
		&Pattern{Match: "prices", Class: stream, Feed: feed},
		&Pattern{Match: "orders:{owner}", Class: private, Feed: feed})
	r := m.join(m.listen(), "prices")[0].Sub.Room()
	prices, _, _ := m.cfg.Catalog.Resolve("prices")
	f := func(rec Record, want string) {
		t.Helper()
		rec.Pattern, rec.Room = prices, []byte("prices")
		at := r.Head()
		m.batch.Add(&rec)
		m.send()
		_, pieces, _ := r.Cut(at, 1<<20, nil)
		if len(pieces) != 1 || pieces[0].Frames() != 1 {
			t.Fatalf("got %d pieces for one record", len(pieces))
		}
		op, got, _ := readFrame(t, pieces[0].Bytes)
		if op != wire.OpText || string(got) != want {
			t.Errorf("got opcode %d:\n%s\nwant\n%s", op, got, want)
		}
		if !json.Valid(got) {
			t.Errorf("%s is no JSON", got)
		}
	}
	v := []byte("{ \"s\" : \"BTCUSDT\",\n\"p\":1.50 }") // byte for byte, white space included
	f(Record{Type: "price_update", Key: []byte("BTCUSDT"), HasKey: true, Partition: 3, Offset: 1229,
		Time: 1699123456788, Value: v},
		`{"room":"prices","type":"price_update","key":"BTCUSDT","pos":"3:1229","ts":1699123456788,"data":`+string(v)+
			`}`)
	f(Record{Type: "price_update", Key: []byte("BTCUSDT"), HasKey: true, Partition: 3, Offset: 1234,
		Time: 1699123456789, Value: v},
		`{"room":"prices","type":"price_update","key":"BTCUSDT","pos":"3:1234","prev":"3:1229","ts":1699123456789,`+
			`"data":`+string(v)+`}`)
	f(Record{Type: `a"b`, Partition: 0, Offset: 0, Value: []byte("7")},
		`{"room":"prices","type":"a\"b","pos":"0:0","ts":0,"data":7}`)
	f(Record{Type: "t", HasKey: true, Partition: 0, Offset: 5, Time: -1},
		`{"room":"prices","type":"t","key":"","pos":"0:5","prev":"0:0","ts":-1,"data":null}`)
	f(Record{Type: "t", Key: []byte("\ufffd\"\x00"), HasKey: true, Partition: 3, Offset: 1235, Value: []byte(`""`)},
		`{"room":"prices","type":"t","key":"`+"\ufffd"+`\"\u0000","pos":"3:1235","prev":"3:1234","ts":0,"data":""}`)
	f(Record{Type: "t", Key: []byte("not said"), Partition: 0, Offset: 9, Value: []byte("{}")},
		`{"room":"prices","type":"t","pos":"0:9","prev":"0:5","ts":0,"data":{}}`)

	member := m.join(m.listen(), "orders:42")[0]
	m.put("orders:42", 1, 8, `{"o":1}`)
	got, _ := m.frames(member.Sub.Room(), member.At)
	if want := `{"room":"orders:42","type":"t","pos":"1:8","ts":1,"data":{"o":1}}`; len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %s", got, want)
	}
}

func TestBareFrames(t *testing.T) {
	feed := newOpenFeed(1)
	m := newManual(t, Config{}, &Pattern{Match: "raw", Class: stream, Feed: feed, Bare: true})
	member := m.join(m.listen(), "raw")[0]
	p := member.Pattern
	for i, rec := range []Record{
		{Value: []byte("\x00\xffab"), Binary: true, Key: []byte("k"), HasKey: true},
		{Value: []byte(`{"a":1}`)},
		{Value: nil},
	} {
		rec.Pattern, rec.Room, rec.Offset = p, []byte("raw"), int64(i)
		m.batch.Add(&rec)
	}
	m.batch.Gap(feed, 0, 2, 7)
	m.send()
	_, pieces, _ := member.Sub.Room().Cut(member.At, 1<<20, nil)
	want := "\x82\x04\x00\xffab" + "\x81\x07{\"a\":1}" + "\x81\x00" +
		string(wire.AppendFrame(nil, wire.OpText,
			[]byte(`{"jsonrpc":"2.0","method":"gap","params":{"room":"raw","from":{"epoch":"e1","0":2},`+
				`"to":{"epoch":"e1","0":7}}}`)))
	if len(pieces) != 1 {
		t.Fatalf("got %d pieces of one chunk", len(pieces))
	}
	if string(pieces[0].Bytes) != want {
		t.Errorf("got %q, want %q", pieces[0].Bytes, want)
	}
}
