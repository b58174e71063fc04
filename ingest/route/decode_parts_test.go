package route

import (
	"strings"
	"testing"

	"tapecast/rooms"
)

// TestBadUTF8 covers every part of a frame that is made of unchecked bytes: one frame with bad
// UTF-8 disconnects every client of its room.
func TestBadUTF8(t *testing.T) {
	const latin = "Stra\xdfe"
	f := routed(t, Route{Rooms: []string{"prices"}, Key: "{s}", Type: "{@header.type}"})
	f(message("k", `{"s":"BTC"}`, "type", "tick"), 0, `prices tick BTC {"s":"BTC"}`)
	f(message("k", `{"s":"BTC"}`, "type", "Straße"), 0, `prices Straße BTC {"s":"BTC"}`)
	f(message("k", `{"s":"BTC"}`, "type", latin), BadUTF8)
	f(message("k", `{"s":"BTC"}`, "type", latin), BadUTF8) // the second time too
	f(message("k", `{"s":"BTC"}`, "type", strings.Repeat("x", rooms.MaxType)), 0,
		`prices `+strings.Repeat("x", rooms.MaxType)+` BTC {"s":"BTC"}`)
	f(message("k", `{"s":"BTC"}`, "type", strings.Repeat("x", rooms.MaxType+1)), BadSize)

	f = routed(t, Route{Rooms: []string{"prices"}, Key: "x", Type: "{@key}"})
	f(message("M\xfcnchen", `{}`), BadUTF8)
	f(message("München", `{}`), 0, "prices München x {}")
	f = routed(t, Route{Rooms: []string{"prices"}, Key: "a{@header.k}", Type: "x"})
	f(message("k", `{}`, "k", "\xe4"), BadUTF8)
	f(message("k", `{}`, "k", "ä"), 0, "prices x aä {}")
	f(message("k", `{}`, "k", strings.Repeat("x", 1<<20)), BadSize) // headers do not count for max_record
	f = routed(t, Route{Rooms: []string{"trades:{@header.k}"}, Type: "x"})
	f(message("k", `{}`, "k", "\xe4"), BadRoom)

	// Half of a surrogate pair, as JSON writes it, is not a character.
	f = routed(t, Route{Rooms: []string{"prices"}, Key: "{s}", Type: "x"})
	f(message("k", `{"s":"\ud800"}`), BadUTF8)
	f(message("k", `{"s":"\udc00a"}`), BadUTF8)
	f(message("k", `{"s":"\ud83d\ude00"}`), 0, `prices x 😀 {"s":"\ud83d\ude00"}`)
	f = routed(t, Route{Rooms: []string{"trades"}, Type: "{s}"})
	f(message("k", `{"s":"\ud800"}`), BadUTF8)
	f = routed(t, Route{Rooms: []string{"trades:{s}"}, Type: "x"})
	f(message("k", `{"s":"\ud800"}`), BadUTF8)
	f = routed(t, Route{Rooms: []string{"trades"}, Match: map[string]string{"s": "*"}, Type: "x"})
	f(message("k", `{"s":"\ud800"}`), BadUTF8)
}

// TestKeyFormats: different keys stay different, or their records are refused.
func TestKeyFormats(t *testing.T) {
	long := func(n byte) string { return "\x00\x00\x00\x00\x00\x00\x00" + string([]byte{n}) }
	for _, format := range []string{"", "utf8"} {
		f := routed(t, Route{Rooms: []string{"prices"}, Key: "{@key}", Type: "x", KeyFormat: format})
		f(message("BTC", `1`), 0, "prices x BTC 1")
		f(message(long(200), `1`), BadUTF8)
		f(message(long(201), `1`), BadUTF8)
		f(message("\xfc", `1`), BadUTF8)
		f(message("\xe4", `1`), BadUTF8)
	}
	f := routed(t, Route{Rooms: []string{"prices", "orders:{@key}"}, Key: "{@key}", Type: "t{@key}",
		KeyFormat: "int64"})
	f(message(long(200), `1`), 0, "prices t200 200 1", "orders:200 t200 200 1")
	f(message(long(201), `null`), 0, "prices t201 201 null", "orders:201 t201 201 null")
	f(message("\xff\xff\xff\xff\xff\xff\xff\xfe", `1`), 0, "prices t-2 -2 1", "orders:-2 t-2 -2 1")
	f(message("\x80\x00\x00\x00\x00\x00\x00\x00", `1`), 0, "prices t-9223372036854775808 -9223372036854775808 1",
		"orders:-9223372036854775808 t-9223372036854775808 -9223372036854775808 1")
	f(message("42", `1`), BadKey)
	f(message("", `1`), BadField)
	f(message("null", `1`), BadField)
	f = routed(t, Route{Rooms: []string{"orders:{@key}"}, Key: "{@key}", Type: "x", KeyFormat: "int32"})
	f(message("\x00\x00\x00\x2a", `1`), 0, "orders:42 x 42 1")
	f(message("\xff\xff\xff\xff", `1`), 0, "orders:-1 x -1 1")
	f(message(long(1), `1`), BadKey)
	f = routed(t, Route{Rooms: []string{"orders:{@key}"}, Key: "{@key}", Type: "x", KeyFormat: "hex"})
	f(message("\xfcA", `1`), 0, "orders:fc41 x fc41 1")
	f = routed(t, Route{Rooms: []string{"orders:{@key}"}, Key: "{@key}", Type: "x", KeyFormat: "base64"})
	f(message("\xfb\xff", `1`), 0, "orders:+/8= x +/8= 1")
	// A condition sees the same text as the room's name.
	f = routed(t, Route{Match: map[string]string{"@key": "4*"}, Rooms: []string{"trades"}, Type: "x",
		KeyFormat: "int64"})
	f(message(long(42), `1`), 0, "trades x - 1")
	f(message(long(24), `1`), Unmatched)
	f(message("42", `1`), BadKey)
}

// A partitioner hashes the bytes of the key, not its text.
func TestKeyFormatOfAPartitioner(t *testing.T) {
	c := testCatalog(t)
	topic := compile(t, c,
		Route{Topic: "t", Rooms: []string{"orders:{@key}"}, Partitioner: "murmur2", KeyFormat: "int64"}).Topic("t")
	topic.Feed.Open("e", 5)
	d := NewDecoder(1<<20, func(*rooms.Record) {})
	m := message("\x00\x00\x00\x00\x00\x00\x00\x2a", `{}`)
	m.Partition, d.Counts = murmur2(m.Key, 5), []int32{5}
	if d.Route(topic, m); d.Misplaced {
		t.Error("the key's text was hashed")
	}
}

// TestUnownableRooms: a record gets no room that no user can own, or no client can name.
func TestUnownableRooms(t *testing.T) {
	f := routed(t, Route{Rooms: []string{"orders:{@key}"}, Type: "x"})
	f(message("42", `1`), 0, "orders:42 x - 1")
	for _, key := range []string{`"42"`, "42\n", " 42", "42 ", "42\u200b", "4\u00a02", "{42}", "4*", `4\2`, "\x00",
		"\ufffd", "\x00\x00\x00\x00\x00\x00\x00\x2a", strings.Repeat("k", 129)} {
		f(message(key, `1`), BadRoom)
	}
	f = routed(t, Route{Rooms: []string{"trades:{s}"}, Type: "x"})
	f(message("", `{"s":"B T\u200bC"}`), 0, "trades:B T\u200bC x - "+`{"s":"B T\u200bC"}`)
	for _, s := range []string{"star*", `a\u0000`, `a\n`, `a\r\n`, `\u2028`, `\u0085`, `a\t`} {
		f(message("", `{"s":"`+s+`"}`), BadRoom)
	}
	// The same for a template whose names fall into several patterns.
	f(message("", `{"s":"index:a*"}`), BadRoom)
	f(message("", `{"s":"index:a"}`), 0, `trades:index:a x - {"s":"index:a"}`)
}

// TestDoubledFields: parsers differ in which of two fields counts. So a record could go to one
// user and name another.
func TestDoubledFields(t *testing.T) {
	f := routed(t, Route{Rooms: []string{"orders:{user}"}, Type: "x"})
	f(message("", `{"user":"u1","amount":1,"user":"u2"}`), BadTwice)
	f(message("", `{"user":"u1","\u0075ser":"u2"}`), BadTwice)
	f(message("", `{"user":"u1","amount":1,"amount":2,"user":"u1"}`), 0,
		`orders:u1 x - {"user":"u1","amount":1,"amount":2,"user":"u1"}`)
	f = routed(t,
		Route{Match: map[string]string{"meta.type": "a"}, Rooms: []string{"orders:{meta.user}"}, Key: "{data.id}",
			Payload: "data", Type: "{kind}"},
		Route{Match: map[string]string{"meta.type": "b"}, Rooms: []string{"trades"}, Type: "x"},
	)
	f(message("", `{"meta":{"type":"a","user":1},"data":{"id":7},"kind":"k"}`), 0, `orders:1 k 7 {"id":7}`)
	for _, v := range []string{
		`{"meta":{"type":"a","user":1},"meta":{"type":"a","user":2},"data":{"id":7},"kind":"k"}`,
		`{"meta":{"type":"a","user":1},"data":{"id":7},"meta":5,"kind":"k"}`,
		`{"meta":{"type":"a","user":1,"user":2},"data":{"id":7},"kind":"k"}`,
		`{"meta":{"type":"a","type":"b","user":1},"data":{"id":7},"kind":"k"}`,
		`{"meta":{"type":"a","user":1},"data":{"id":7,"id":8},"kind":"k"}`,
		`{"meta":{"type":"a","user":1},"data":{"id":7},"data":{"id":7,"x":1},"kind":"k"}`,
		`{"meta":{"type":"a","user":1},"data":{"id":7},"kind":"k","kind":"l"}`,
	} {
		f(message("", v), BadTwice)
	}
	// No matching route reads user or data.
	v := `{"meta":{"type":"b","user":1,"user":2},"data":1,"data":2}`
	f(message("", v), 0, "trades x - "+v)
	f = routed(t, Route{Rooms: []string{"trades"}, Type: "x", Keyframe: Keyframe{"e", "full"}})
	f(message("", `{"e":"full","e":"part"}`), BadTwice)
}

// TestPrivateStaysPrivate: a template of a private pattern gives rooms of that pattern or
// none, and no other template gives rooms of it.
func TestPrivateStaysPrivate(t *testing.T) {
	stream, private := &rooms.Class{Name: "stream"}, &rooms.Class{Name: "private", Owner: "{sub}"}
	catalog, err := rooms.NewCatalog([]*rooms.Pattern{
		{Match: "orders:{owner}", Class: private}, {Match: "orders:public:*", Class: stream},
		{Match: "user:{owner}", Class: private}, {Match: "user:desk:{owner}", Class: private},
		{Match: "user:system", Class: stream},
		{Match: "chat:*", Class: stream}, {Match: "chat:dm:{owner}", Class: private},
		{Match: "chat:news:*", Class: stream},
	})
	if err != nil {
		t.Fatal(err)
	}
	router := compile(t, catalog,
		Route{Topic: "t", Match: map[string]string{"@header.to": "own"},
			Rooms: []string{"orders:{@key}", "user:{@key}"}, Type: "x"},
		Route{Topic: "t", Match: map[string]string{"@header.to": "all"}, Rooms: []string{"chat:{@key}"}, Type: "x"},
		// The same topic feeds the longer patterns by routes of their own.
		Route{Topic: "t", Match: map[string]string{"@header.to": "special"}, Type: "x",
			Rooms: []string{"orders:public:{@key}", "user:desk:{@key}", "user:system", "chat:dm:{@key}",
				"chat:news:{@key}"}},
	)
	f := func(to, key string, want ...string) {
		t.Helper()
		var out []string
		d := NewDecoder(1<<20, func(r *rooms.Record) { out = append(out, r.Pattern.Match) })
		b := d.Route(router.Topic("t"), message(key, `1`, "to", to))
		if strings.Join(out, " ") != strings.Join(want, " ") || (b.Reason == BadRoom) == (want != nil) {
			t.Errorf("%s %q: %q (%s), want %q", to, key, out, b.Detail(), want)
		}
		if want == nil && !strings.Contains(b.Detail(), "falls into room pattern") {
			t.Errorf("%s %q: %s", to, key, b.Detail())
		}
	}
	f("own", "u1", "orders:{owner}", "user:{owner}")
	f("own", "public", "orders:{owner}", "user:{owner}")
	f("own", "public:u1")
	f("own", "desk:b1")
	f("own", "system")
	f("all", "x", "chat:*")
	f("all", "news:x", "chat:news:*")
	f("all", "dm:u1")
	f("special", "u1", "orders:public:*", "user:desk:{owner}", "user:system", "chat:dm:{owner}", "chat:news:*")

	// Without a route of its own, another template does not feed the longer pattern.
	compile(t, catalog, Route{Topic: "t", Rooms: []string{"orders:{@key}", "chat:{@key}"}})
	for match, fed := range map[string]bool{"orders:public:*": false, "chat:dm:{owner}": false, "chat:news:*": true} {
		if p := pattern(t, catalog, match); (p.Feed != nil) != fed {
			t.Errorf("%s: fed %v", match, p.Feed != nil)
		}
	}
}

// TestBadDetails: the detail of a bad record names the field and its fault.
func TestBadDetails(t *testing.T) {
	f := func(r Route, m *Record, want string) {
		t.Helper()
		r.Topic = "t"
		d := NewDecoder(1<<20, func(*rooms.Record) {})
		if got := d.Route(compile(t, testCatalog(t), r).Topic("t"), m).Detail(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	quotes := Route{Rooms: []string{"prices:{symbol}"}}
	f(quotes, message("", `{"s":1}`), `the record lacks the field "symbol" of "prices:{symbol}"`)
	f(quotes, message("", `{"symbol":null}`), `"symbol" is null, and cannot be used for "prices:{symbol}"`)
	f(quotes, message("", `{"symbol":""}`), `"symbol" is empty, and cannot be used for "prices:{symbol}"`)
	for _, v := range []string{`{}`, `[]`, `1.5`, `true`} {
		f(quotes, message("", `{"symbol":`+v+`}`),
			`"symbol" is neither a string nor an integer, and cannot be used for "prices:{symbol}"`)
	}
	f(quotes, message("", `{"symbol":1,"symbol":2}`),
		`the value has "symbol" twice, with different values: it cannot be used for "prices:{symbol}"`)
	f(quotes, message("", `null`), `the record is a tombstone, and so has no "symbol" for "prices:{symbol}"`)
	f(quotes, message("", `{"symbol":"`+strings.Repeat("x", 250)+`"}`),
		`"prices:{symbol}" gives a name that is longer than 256 bytes`)
	f(quotes, message("", `{"symbol":"a\n"}`),
		`"prices:{symbol}" gives a name that no client can write: it has a star, line ends or control characters`)
	f(Route{Rooms: []string{"orders:{@key}"}}, message("null", `1`), `the record has no key for "orders:{@key}"`)
	f(Route{Rooms: []string{"orders:{@key}"}}, message(`"42"`, `1`),
		`"orders:{@key}" gives a name that no user can own: a user's name has at most 128 bytes, and no white space, `+
			`invisible characters or any of *{}"\`)
	f(Route{Rooms: []string{"orders:{@key}"}}, message("\xfc", `1`),
		`"orders:{@key}" gives a name that is not UTF-8: key_format says how keys are written`)
	f(Route{Rooms: []string{"orders:{@key}"}, KeyFormat: "int32"}, message("1", `1`),
		`the record key is not as long as key_format says, and cannot be used for "orders:{@key}"`)
	f(Route{Rooms: []string{"trades"}, Key: "{@header.k}"}, message("", `1`),
		`the record lacks the field "@header.k" of "{@header.k}"`)
	f(Route{Rooms: []string{"trades"}, Key: "{@key}"}, message("\xfc", `1`),
		`"{@key}" gives bytes that are not UTF-8: key_format says how keys are written`)
	f(Route{Rooms: []string{"trades"}, Type: "{e}"}, message("", `{"e":"`+strings.Repeat("x", 257)+`"}`),
		`"{e}" gives 257 bytes, which is too many`)
	f(Route{Rooms: []string{"trades"}, Payload: "data"}, message("", `{}`),
		`the record lacks the field "data" of "payload"`)
	f(Route{Rooms: []string{"trades"}, Match: map[string]string{"e": "x"}}, message("", `null`),
		`no route of the topic matches`)
	f(Route{Rooms: []string{"trades"}, Match: map[string]string{"e": "x"}}, message("", `{}`),
		`no route of the topic matches`)
	field := "f"
	for why := lackNone; why <= lackPattern; why++ {
		for r := Reason(1); r < Reasons; r++ {
			if got := (Bad{fault: fault{r, why}, What: "w", field: &field}).Detail(); got == "" ||
				strings.Contains(got, "%!") {
				t.Errorf("%s, %d: %q", r, why, got)
			}
		}
	}
}

// A tombstone goes to routes that match its key or headers. A tombstone that no route matches is
// not a fault. A tombstone that a route matches and finds no room for is one.
func TestTombstoneOfAnotherRoute(t *testing.T) {
	f := routed(t,
		Route{Match: map[string]string{"e": "new"}, Rooms: []string{"orders:{@key}"}, Type: "x"},
		Route{Match: map[string]string{"@header.gone": "1"}, Rooms: []string{"user:{@key}"}, Type: "gone"},
	)
	f(message("7", `null`, "gone", "1"), 0, "user:7 gone - null")
	f(message("7", `null`), Unmatched)
	f(message("7", `{"e":"old"}`), Unmatched)
	f = routed(t,
		Route{Match: map[string]string{"e": "new"}, Rooms: []string{"orders:{@key}"}},
		Route{Match: map[string]string{"@header.gone": "1"}, Rooms: []string{"user:{u}"}},
	)
	f(message("7", `null`, "gone", "1"), BadField)
	f(message("7", `null`, "gone", "0"), Unmatched)
}
