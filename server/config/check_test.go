package config

import (
	"fmt"
	"strings"
	"testing"
)

// faultsOf checks that a configuration has exactly the faults given, one a line.
func faultsOf(t *testing.T, text string, want ...string) {
	t.Helper()
	envFaultsOf(t, text, nil, want...)
}

func envFaultsOf(t *testing.T, text string, environ []string, want ...string) {
	t.Helper()
	_, err := load(t, text, environ...)
	got := ""
	if err != nil {
		got = err.Error()
	}
	if w := strings.Join(want, "\n"); got != w {
		t.Errorf("%s\n got:\n%s\nwant:\n%s", text, got, w)
	}
}

func TestUnknownKeys(t *testing.T) {
	f := func(text string, want ...string) { t.Helper(); faultsOf(t, text, want...) }
	f("servr: {listen: x}", "c.yaml:1: servr: unknown key; did you mean server?")
	f("\nserver:\n  path: /x\n  lisen: x", "c.yaml:4: server.lisen: unknown key; did you mean server.listen?")
	f("limits: {Connections: 5}", "c.yaml:1: limits.Connections: unknown key; did you mean limits.connections?")
	f("pending: 5", "c.yaml:1: pending: unknown key; did you mean limits.pending?")
	f("listen: x", "c.yaml:1: listen: unknown key; did you mean server.listen or admin.listen?")
	f("memory: {qqqqqqqqqqqq: 5}",
		"c.yaml:1: memory.qqqqqqqqqqqq: unknown key; known here: tapes, last_values, incoming")
	f("classes:\n  market:\n    retain:\n      byts: 1",
		"c.yaml:4: classes.market.retain.byts: unknown key; did you mean classes.market.retain.bytes?")
	f("rooms:\n- match: prices\n  clas: market",
		`c.yaml:1: auto_join: is not set, and of its built-in rooms these fit no pattern: trades, system_alerts, `+
			`user:{sub}, portfolio:{sub}, orders:{sub}, notifications:{sub}; write auto_join with rooms that do`,
		"c.yaml:2: rooms[0].class: is missing; use one of alert, book, market, private, state, stream",
		"c.yaml:3: rooms[0].clas: unknown key; did you mean rooms[0].class?")
}

func TestWrongValues(t *testing.T) {
	f := func(text string, want ...string) { t.Helper(); faultsOf(t, text, want...) }
	f("server: {drain: 20}",
		`c.yaml:1: server.drain: cannot take 20; write a duration with its unit, such as 500ms, 20s or 1h30m`)
	f("server: {drain: soon}",
		`c.yaml:1: server.drain: cannot take the text "soon"; write a duration with its unit, such as 500ms, 20s or `+
			`1h30m`)
	f("server: {drain: -1s}",
		`c.yaml:1: server.drain: cannot take the text "-1s"; write a duration with its unit, such as 500ms, 20s or `+
			`1h30m`)
	f("auth: {leeway: -5s}",
		`c.yaml:1: auth.leeway: cannot take this; write a duration with its unit, such as 500ms, 20s or 1h30m`)
	f("auth: {leeway: 2000000h}",
		`c.yaml:1: auth.leeway: 2000000h is more than ten years, 87600h; write less, or remove the line for the `+
			`default`)
	f("memory: {tapes: 8000TiB}",
		`c.yaml:1: memory.tapes: 8000TiB is more than 1024TiB; write less, or remove the line for the default`)
	f("limits: {request_burst: 9000000000000000000}",
		`c.yaml:1: limits.request_burst: 9000000000000000000 is more than 1099511627776; write less, or remove the `+
			`line for the default`)
	envFaultsOf(t, "", []string{"TAPECAST_AUTH_LEEWAY=-5s", "TAPECAST_SERVER_DRAIN=2000000h"},
		`TAPECAST_AUTH_LEEWAY: auth.leeway: cannot take "-5s"; give a duration with its unit, such as 500ms, 20s or `+
			`1h30m`,
		`TAPECAST_SERVER_DRAIN: server.drain: 2000000h is more than ten years, 87600h; give a duration with its unit,`+
			` such as 500ms, 20s or 1h30m`)
	f("server: {max_message: 64kb}",
		`c.yaml:1: server.max_message: cannot take the text "64kb"; write a number of bytes, such as 512, 64KiB or `+
			`8MiB`)
	f("server: {loops: two}", `c.yaml:1: server.loops: cannot take the text "two"; write a whole number, such as 100`)
	f("server: {loops: -2}", `c.yaml:1: server.loops: cannot take -2; write a whole number, such as 100`)
	f("server: {loops: 99999999999999999999}",
		`c.yaml:1: server.loops: cannot take 99999999999999999999; write a whole number, such as 100`)
	f(`server: {loops: "2"}`, `c.yaml:1: server.loops: cannot take the text "2"; write a whole number, such as 100`)
	f("server: {loops: [2]}", `c.yaml:1: server.loops: cannot take a list; write a whole number, such as 100`)
	f("server: {loops: {a: 2}}",
		`c.yaml:1: server.loops: cannot take keys of its own; write a whole number, such as 100`)
	f("limits: {messages_per_second: .inf}",
		`c.yaml:1: limits.messages_per_second: cannot take .inf; write a number, such as 50 or 0.5`)
	f("admin: {pprof: yes}", `c.yaml:1: admin.pprof: cannot take the text "yes"; write true or false`)
	f("log: {level: }", `c.yaml:1: log.level: has no value; write a text, or remove the line for the default`)
	f("log: {level: [info]}", `c.yaml:1: log.level: cannot take a list; write a text`)
	f("log: info", `c.yaml:1: log: cannot take the text "info"; write keys of its own below it`)
	f("kafka: {brokers: \"a:1,b:2\"}",
		`c.yaml:1: kafka.brokers: cannot take the text "a:1,b:2"; write a list, such as [a, b]`)
	f("kafka: {librdkafka: {client.id: [x]}}", `c.yaml:1: kafka.librdkafka.client.id: cannot take a list; write a text`)
	f("rooms: {prices: market}",
		`c.yaml:1: rooms: cannot take keys of its own; write a list of entries that begin with a dash`)
	f("auto_join:\n- prices\n-",
		`c.yaml:3: auto_join[1]: has no value; write a text, or remove the line for the default`)
	f("- a\n- b", `c.yaml:1: cannot take a list; write keys of its own below it`)
	f("? [a]\n: b", `c.yaml:1: a key is a list; write a plain name before the colon`)
	f("log: {level: warn}\nadmin: {pprof: true}\nlog: {format: text}",
		`c.yaml:3: log: is set twice, first in line 1; keep one of the two`)
	// The text of a secret is never repeated.
	f("auth: hush", `c.yaml:1: auth: cannot take this; write keys of its own below it`)
	f("auth: {secret: [hush, hush]}", `c.yaml:1: auth.secret: cannot take a list; write a text`)
}

func TestSyntax(t *testing.T) {
	f := func(text string, want ...string) { t.Helper(); faultsOf(t, text, want...) }
	f("server:\n\tpath: /x",
		"c.yaml:2: not valid YAML: found character that cannot start any token; fix the syntax there or just above")
	f("log: {level: info}\n---\nlog: {level: warn}",
		"c.yaml:2: a second YAML document begins here; keep one document in the file")
	f("log: {level: info}\n---\n{",
		"c.yaml:3: not valid YAML: did not find expected node content; fix the syntax there or just above")
	f("# nothing but a comment")
	f("\x01", "c.yaml:1: not valid YAML: control characters are not allowed; fix the syntax there or just above")
	// A few lines that would expand to a million values.
	bomb := "auto_join: &a [x,x,x,x,x,x,x,x,x,x]\nrooms: &b [*a,*a,*a]\n"
	_, err := load(t, bomb)
	if err == nil {
		t.Error("lists of lists are taken")
	}
	many := "classes: {a: &a {lag: x}, b: &b {<<: [" + strings.Repeat("*a,", 400) + "*a]}, c: {<<: [" +
		strings.Repeat("*b,", 400) + "*b]}}"
	if _, err := load(t, many); err == nil ||
		!strings.Contains(err.Error(), "aliases expand to more than 100000 values") {
		t.Errorf("aliases without end: %v", err)
	}
	f("classes: &a {stream: *a, <<: *a}",
		"c.yaml:1: classes.stream.stream: unknown key; did you mean server.stream?",
		"c.yaml:1: aliases expand to more than 100000 values, or are nested 32 deep; write the values out")
}

func TestSections(t *testing.T) {
	f := func(text string, want ...string) { t.Helper(); faultsOf(t, text, want...) }
	f("server: {listen: 8080}",
		`c.yaml:1: server.listen: "8080" is not a host:port; write one such as 127.0.0.1:8080, or 0.0.0.0:8080 for `+
			`all IPv4 addresses, [::]:8080 for all`)
	f("server: {listen: \"a:99999\"}",
		`c.yaml:1: server.listen: "a:99999" is not a host:port; write one such as 127.0.0.1:8080, or 0.0.0.0:8080 `+
			`for all IPv4 addresses, [::]:8080 for all`)
	f("server: {listen: \"127.0.0.1:8081\"}",
		`built-in: admin.listen: is the same as server.listen; give the internal port an address of its own`)
	f("server: {listen: \"127.0.0.1:0\"}\nadmin: {listen: \"127.0.0.1:0\"}")
	f("server: {path: ws}",
		`c.yaml:1: server.path: "ws" is not a path; write one that begins with a slash, such as /ws`)
	f("server: {max_head: 512}",
		`c.yaml:1: server.max_head: 512 is too small: browsers send nearly as much; write 1KiB or more, or remove `+
			`the line for the default`)
	f("server: {max_head: 65KiB}",
		`c.yaml:1: server.max_head: 65KiB is more than 64KiB; write less: every socket that is not upgraded may hold `+
			`that much`)
	f("server: {max_message: 10}",
		`c.yaml:1: server.max_message: 10 is too small: a client could not even send a token; write 1KiB or more, or `+
			`remove the line for the default`)
	f("server: {max_message: 1GiB}",
		`c.yaml:1: server.max_message: 1GiB is more than 1MiB; write less: every connection may hold that much, and `+
			`parsing takes 50 times that`)
	f("server: {ping_every: 70s, pong_timeout: 5s}") // silence counts from an unanswered ping on
	f("auth: {timeout: 0}",
		`c.yaml:1: auth.timeout: 0s is less than 100ms; write more, or remove the line for the default`)
	f("memory: {tapes: 5}",
		`c.yaml:1: memory.tapes: 5 is too small: rooms could keep nothing; write 1MiB or more, or remove the line `+
			`for the default`)
	f("memory: {incoming: 64KiB}",
		`c.yaml:1: memory.incoming: 64KiB is too small: it is to hold a few messages of server.max_message; write `+
			`1MiB or more, or remove the line for the default`)
	f("memory: {last_values: 5}",
		`c.yaml:1: memory.last_values: 5 is too small: rooms could not remember their newest messages; write 1MiB or `+
			`more, or remove the line for the default`)
	f("memory: {tapes: 2MiB}\nclasses: {market: {retain: {bytes: 3MiB}}}",
		`c.yaml:2: classes.market.retain.bytes: 3MiB is more than memory.tapes (2MiB), which all rooms share; set `+
			`less, or memory.tapes to more`)
	f("log: {level: warning}",
		`c.yaml:1: log.level: "warning" is unknown; did you mean warn? (known: debug, info, warn, error)`)
	f("log: {format: xml}", `c.yaml:1: log.format: "xml" is unknown; use one of auto, text, json`)
	f("ingest: {unmatched: drop}", `c.yaml:1: ingest.unmatched: "drop" is unknown; use one of ignore, dead_letter`)
	f("ingest: {unmatched: dead_letter}",
		`c.yaml:1: ingest.unmatched: is dead_letter, but there is no dead-letter topic; name one in `+
			`kafka.dead_letter, or write ignore`)
	f("kafka: {require_topics: some}", `c.yaml:1: kafka.require_topics: "some" is unknown; use one of any, all`)
}

func TestLimitSection(t *testing.T) {
	f := func(text string, want ...string) { t.Helper(); faultsOf(t, text, want...) }
	f("limits: {burst: 0}",
		`c.yaml:1: limits.burst: 0 would let no message through at all; set 1 or more, or limits.messages_per_second `+
			`to 0 for no limit`)
	f("limits: {wildcards_per_connection: 256}",
		`c.yaml:1: limits.wildcards_per_connection: 256 is more than 255; set 255 or less, or 0 to allow none`)
	f("limits: {rooms_per_connection: 500, rooms_per_wildcard: 501}",
		`c.yaml:1: limits.rooms_per_wildcard: 501 can never be reached: limits.rooms_per_connection is 500; set 500 `+
			`or less, or limits.rooms_per_connection to more`)
	f("limits: {rooms_per_connection: 3}",
		`c.yaml:1: limits.rooms_per_connection: 3 is less than the 7 rooms of auto_join; set 7 or more`)
	f("limits: {rooms_per_user: 3}",
		`c.yaml:1: limits.rooms_per_user: 3 is less than the 7 rooms of auto_join; set 7 or more`)
	n := descriptorLimit()
	f(fmt.Sprintf("limits: {half_open: %d}", n),
		fmt.Sprintf("c.yaml:1: limits.half_open: %d half-open sockets do not fit into the descriptor limit of %d; "+
			"set at most %d, or raise that limit (ulimit -n, or LimitNOFILE=)", n, n, n-reserved))
	f("limits: {half_open: 50, half_open_per_address: 51}",
		`c.yaml:1: limits.half_open_per_address: 51 can never be reached: of all addresses 50 are kept; set 50 or `+
			`less, or limits.half_open to more`)
	f(fmt.Sprintf("limits: {connections: %d}", n),
		fmt.Sprintf("c.yaml:1: limits.connections: %d connections do not fit into the descriptor limit of %d; raise "+
			"that to %d (ulimit -n, or LimitNOFILE=), or set at most %d", n, n, n+reserved, n-reserved))
	f(fmt.Sprintf("limits: {connections: %d}", n-reserved))
}

func TestRoomFaults(t *testing.T) {
	f := func(text string, want ...string) { t.Helper(); faultsOf(t, "auto_join: []\n"+text, want...) }
	f("rooms: []", `c.yaml:2: rooms: is empty, so that no room exists; list patterns, or remove the line for the `+
		`built-in ones`)
	f("rooms:\n- {match: prices, class: markt}\n- {class: market}\n- ", // the last is a line without an entry
		`c.yaml:3: rooms[0].class: "markt" is unknown; did you mean market? (known: alert, book, market, private, `+
			`state, stream)`,
		`c.yaml:4: rooms[1].match: is missing; write a pattern such as prices, "prices:*" or "orders:{owner}"`,
		`c.yaml:5: rooms[2]: is empty; write its keys or remove it`,
		`c.yaml:5: rooms[2].match: is missing; write a pattern such as prices, "prices:*" or "orders:{owner}"`)
	f("rooms:\n- {match: a, class: book}\n- {match: \"a:*\", class: book}\n- {match: a, class: market}\n- {match: "+
		"\"a:*\", class: book}",
		`c.yaml:5: rooms[2].match: pattern "a" matches the same names as "a"; keep one of them`,
		`c.yaml:6: rooms[3].match: pattern "a:*" matches the same names as "a:*"; keep one of them`)
	f("rooms:\n- {match: \"*\", class: book}\n- {match: \"a*b\", class: book}\n- {match: \"mine:*\", class: "+
		"private}\n- {match: \"his:{owner}\", class: book}",
		`c.yaml:3: rooms[0].match: pattern "*" would match every name; begin it with a prefix such as "prices:"`,
		`c.yaml:4: rooms[1].match: pattern "a*b"; only one * or {owner} is allowed, and at the end`,
		`c.yaml:5: rooms[2].match: pattern "mine:*" has the private class "private", so it must end in {owner}; fix `+
			`the pattern`,
		`c.yaml:6: rooms[3].match: "his:{owner}" names an owner, but class "book" is public: everybody could join; `+
			`give the class owner: "{sub}", or end the pattern in *`)
	f("classes:\n  market: {lag: close}\n  a b: {}\n  x: {owner: \"{user}\", lag: cut}\n",
		`c.yaml:3: classes.market.lag: close contradicts conflate: true; set skip: a conflated member gets the `+
			`newest values instead of being cut`,
		`c.yaml:4: classes.a b: is not a name for a class; use letters, digits, dashes and underscores`,
		`c.yaml:5: classes.x.lag: "cut" is unknown; use one of skip, close`,
		`c.yaml:5: classes.x.owner: "{user}" is not an owner; write "{sub}" for private rooms, "{claims.accounts[]}" `+
			`for those of each account in a claim, or remove it for public ones`)
}

func TestAutoJoinFaults(t *testing.T) {
	const orClaim = ", or {claims.NAME[]} for what a claim lists"
	faultsOf(t, `auto_join:
- prices
- prise
- prices
- "orders:42"
- "orders:{user}"
- "prices:*"
- ""
- "prices:{sub}"
`,
		`c.yaml:3: auto_join[1]: "prise" fits no pattern of rooms; did you mean prices? Else add a pattern for it`,
		`c.yaml:4: auto_join[2]: "prices" is named twice; remove one`,
		`c.yaml:6: auto_join[4]: "orders:{user}" is not a room name; write a whole name, in which {sub} may stand `+
			`for the user`+orClaim,
		`c.yaml:7: auto_join[5]: "prices:*" is not a room name; write a whole name, in which {sub} may stand for the `+
			`user`+orClaim,
		`c.yaml:8: auto_join[6]: "" is not a room name; write a whole name, in which {sub} may stand for the user`+
			orClaim)
}

func TestEnvironmentFaults(t *testing.T) {
	f := func(env string, want ...string) { t.Helper(); envFaultsOf(t, "", []string{env}, want...) }
	f("TAPECAST_LIMITS_CONECTIONS=5",
		"TAPECAST_LIMITS_CONECTIONS: no key is set by this variable; did you mean TAPECAST_LIMITS_CONNECTIONS?")
	f("TAPECAST_log_level=warn", "TAPECAST_log_level: no key is set by this variable; did you mean TAPECAST_LOG_LEVEL?")
	f("TAPECAST_LOGLEVEL=warn", "TAPECAST_LOGLEVEL: no key is set by this variable; did you mean TAPECAST_LOG_LEVEL?")
	f("TAPECAST_ADMIN_TOKEN=x",
		"TAPECAST_ADMIN_TOKEN: no key is set by this variable; did you mean TAPECAST_ADMIN_TOKEN_FILE?")
	f("TAPECAST_CLASSES_MARKT_KEEP=true",
		"TAPECAST_CLASSES_MARKT_KEEP: no key is set by this variable; did you mean TAPECAST_CLASSES_MARKET_KEEP?")
	const file = ": no key is set by this variable; it is set in the file only, and librdkafka's settings each by a " +
		"name of " +
		"their own, such as TAPECAST_KAFKA_LIBRDKAFKA_CLIENT_ID"
	f("TAPECAST_ROOMS=a", "TAPECAST_ROOMS"+file)
	f("TAPECAST_INGEST_ROUTES=a", "TAPECAST_INGEST_ROUTES"+file)
	f("TAPECAST_KAFKA_LIBRDKAFKA=true", "TAPECAST_KAFKA_LIBRDKAFKA"+file)
	f("TAPECAST_SERVER_DRAIN=20",
		`TAPECAST_SERVER_DRAIN: server.drain: cannot take "20"; give a duration with its unit, such as 500ms, 20s or `+
			`1h30m`)
	f("TAPECAST_LOG_LEVEL=loud",
		`TAPECAST_LOG_LEVEL: log.level: "loud" is unknown; use one of debug, info, warn, error`)
	f("TAPECAST_KAFKA_BROKERS=a:1",
		`TAPECAST_KAFKA_BROKERS: auth: kafka.brokers is set, but no key to check tokens with; set auth.secret, `+
			`auth.secret_file, auth.public_key, auth.public_key_file, auth.keys, auth.jwks_url or auth.verify.url`,
		`TAPECAST_KAFKA_BROKERS: ingest.routes: kafka.brokers is set, but no route leads from a topic to rooms; `+
			`write ingest.routes`)
	envFaultsOf(t, "auth: {secret: short}\nlog: {level: loud}",
		[]string{"TAPECAST_AUTH_SECRET_FILE=/none", "TAPECAST_LOG_FORMAT=xml"},
		`c.yaml:1: auth.secret: the key has 5 bytes, and HS256 needs 32 or more; make one with: openssl rand -base64 `+
			`32`,
		`c.yaml:2: log.level: "loud" is unknown; use one of debug, info, warn, error`,
		`TAPECAST_AUTH_SECRET_FILE: auth.secret_file: is set, and so is auth.secret (c.yaml:1); keep one of the two`,
		`TAPECAST_LOG_FORMAT: log.format: "xml" is unknown; use one of auto, text, json`)
}

// TestStrangersVariables: a variable whose name is no key's, nor nearly one, may be
// somebody else's: it is warned of, once, and stops nothing.
func TestStrangersVariables(t *testing.T) {
	f := func(env, do string) {
		t.Helper()
		name, _, _ := strings.Cut(env, "=")
		want := name + ": no key is set by this variable; " + do
		if got := mustLoad(t, "", env).Warnings(); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, not %q", env, got, want)
		}
	}
	const unset = "unset it, or name a key as TAPECAST_SECTION_KEY"
	for _, name := range []string{"VERSION", "QQQQ", "IMAGE", "ENV", "HOME", "KAFKA_VERSION", "SERVER_NAME", "LOG_DIR",
		"NAMESPACE", "REPLICAS"} {
		f("TAPECAST_"+name+"=1.2.3", unset)
	}
	f("TAPECAST_BROKERS=a:1", "did you mean TAPECAST_KAFKA_BROKERS?")
	f("TAPECAST_LISTEN=:1", "did you mean TAPECAST_SERVER_LISTEN or TAPECAST_ADMIN_LISTEN?")
	if got := mustLoad(t, "", "TAPECAST_VERSION=", "TAPECAST_CONFIG=x",
		"TAPECAST_PORT=tcp://10.0.0.1:80").Warnings(); got != nil {
		t.Errorf("of variables that are known: %q", got)
	}
}

// A fault anywhere hides none elsewhere, and they come in the order of the file.
func TestAllFaultsAtOnce(t *testing.T) {
	_, err := load(t, `
log: {level: loud}
server: {lisen: x, drain: 5}
limits: {burst: 0}
rooms: [{match: prices, class: markt}]
auto_join: [prices, trade]
`, "TAPECAST_LIMITS_PENDNG=1")
	faults, _ := err.(Faults)
	var got []string
	for _, f := range faults {
		got = append(got, f.At+" "+f.Key)
	}
	want := "c.yaml:2 log.level|c.yaml:3 server.lisen|c.yaml:3 server.drain|c.yaml:4 limits.burst|c.yaml:5 " +
		"rooms[0].class|c.yaml:6 auto_join[1]|TAPECAST_LIMITS_PENDNG "
	if strings.Join(got, "|") != want {
		t.Errorf("got %s\nwant %s", strings.Join(got, "|"), want)
	}
	if n := len(faults.Under("limits")); n != 2 { // its own, and the variable that belongs to no key
		t.Errorf("%d faults concern limits, want 2", n)
	}
}
