package config

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tapecast/ingest/demo"
)

// triedFaultsOf is faultsOf with librdkafka's clients.
func triedFaultsOf(t *testing.T, text string, want ...string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(Sources{File: file, TryClients: true})
	got := ""
	if err != nil {
		got = strings.ReplaceAll(err.Error(), file, "c.yaml")
	}
	if w := strings.Join(want, "\n"); got != w {
		t.Errorf("%s\n got:\n%s\nwant:\n%s", text, got, w)
	}
}

// What run would refuse, or what would fail later, is a fault of the configuration.
func TestLibrdkafkaFaults(t *testing.T) {
	f := func(properties string, want ...string) {
		t.Helper()
		for i := range want {
			want[i] = "c.yaml:1: kafka.librdkafka." + want[i]
		}
		triedFaultsOf(t, "kafka: {librdkafka: {"+properties+"}}", want...)
	}
	const fixed = ", and the gateway needs "
	const sasl = "security.protocol: SASL_SSL, sasl.username: u, sasl.password: p"
	f(`log_level: "3", fetch.wait.max.ms: 50`)
	f("fetch.wait.max.mss: 1", "fetch.wait.max.mss: is not a property of librdkafka; did you mean fetch.wait.max.ms?")
	f("auto.offset.reset: latest", `auto.offset.reset: is "latest"`+fixed+`"error", which it sets itself; remove it`)
	f("session.timeout.ms: abc",
		`session.timeout.ms: librdkafka does not take "abc"; write what librdkafka's CONFIGURATION.md lists for it, `+
			`or remove it`)
	f(`acks: "1"`, `acks: is "1"`+fixed+`"all", which it sets itself; remove it`)
	f(sasl+", sasl.mechanism: SCRAM-SHA-265",
		`sasl.mechanism: "SCRAM-SHA-265" is unknown; did you mean SCRAM-SHA-256? (known: PLAIN, SCRAM-SHA-256, `+
			`SCRAM-SHA-512, OAUTHBEARER)`)
	f(sasl,
		"security.protocol: wants a login, and sasl.mechanism does not say which; set sasl.mechanism to PLAIN, "+
			"SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")
	f("security.protocol: ssl, ssl.ca.location: /nowhere/ca.pem",
		"ssl.ca.location: cannot read it: /nowhere/ca.pem: no such file or directory; name a file that this user can "+
			"read")
	f("security.protocol: sasl_ssl, sasl.mechanism: OAUTHBEARER",
		"sasl.mechanism: is OAUTHBEARER, for which the gateway gets tokens by OIDC only; set sasl.oauthbearer.method "+
			"to oidc, and its client.id, client.secret and token.endpoint.url")
	f(`fetch.max.bytes: "5"`,
		"fetch.max.bytes: librdkafka refuses it: `fetch.max.bytes` must be >= `message.max.bytes`; mend or set what "+
			"it names")
	f(sasl + ", sasl.mechanism: SCRAM-SHA-512")
	// Without being asked to, Load makes no clients.
	faultsOf(t, `kafka: {librdkafka: {fetch.max.bytes: "5"}}`)
}

func TestBrokerFaults(t *testing.T) {
	f := func(broker, want string) {
		t.Helper()
		if msg, _ := brokerFault(broker); msg != want {
			t.Errorf("%s: %s, want %s", broker, msg, want)
		}
	}
	for _, good := range []string{"a", "a:1", "kafka-1.x_y:9092", "10.0.0.1:9092", "[::1]:9092", "[2001:db8::1]"} {
		f(good, "")
	}
	f("http://a:9092", "has a scheme")
	f("SSL://a:9092", "has a scheme")
	f("a:9092;b:9092", "holds more than one broker")
	f("a:9092,b:9092", "holds more than one broker")
	for _, not := range []string{"a b", "a:9092/x", "u@a:9092", "a\t:1"} {
		f(not, "is not a broker")
	}
	for _, port := range []string{"9o92", "", "0", "65536", "-1"} {
		f("kafka:"+port, `has the port "`+port+`", which is not a number from 1 to 65535`)
	}
	f("", "has no host")
	f(":9092", "has no host")
	f("::1:9092", "has a host with colons")
	f("[a]:9092", "has brackets around something that is not an IPv6 address")
	f("[::1:9092", "has brackets around something that is not an IPv6 address")
	faultsOf(t, "kafka:\n  brokers: [\"kafka:9o92\"]\nauth: {secret: "+testSecret+"}\n"+routesOf("prices"),
		`c.yaml:2: kafka.brokers[0]: "kafka:9o92" has the port "9o92", which is not a number from 1 to 65535; write `+
			`host:port, such as kafka-1:9092`)
}

// Keys that can be guessed or read, and tokens that were made for others, are warned of.
func TestAuthWarnings(t *testing.T) {
	dir := t.TempDir()
	secret := func(text string, mode os.FileMode) string {
		t.Helper()
		file := filepath.Join(dir, "secret")
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	f := func(cfg *Config, want ...string) {
		t.Helper()
		got := cfg.Warnings()
		if len(got) != len(want) {
			t.Fatalf("warns of %v, want %v", got, want)
		}
		for i := range want {
			if !strings.HasPrefix(got[i], want[i]) {
				t.Errorf("warns of %s, want %s", got[i], want[i])
			}
		}
	}
	file := secret(testSecret, 0o600)
	f(mustLoad(t, "auth: {secret_file: "+file+"}"))
	file = secret(testSecret, 0o604)
	f(mustLoad(t, "auth: {secret_file: "+file+"}"),
		"auth.secret_file: every user of this machine may open "+file+" (mode 0604)")
	file = secret("-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----\n", 0o600)
	f(mustLoad(t, "auth: {secret_file: "+file+"}"), "auth.secret_file: the HS256 key is in PEM form")
	f(mustLoad(t, "auth: {secret: "+strings.Repeat("a", 32)+"}"),
		"auth.secret: all bytes of the HS256 key are the same")
	f(mustLoad(t, "auth: {secret: "+testSecret+", leeway: 5m}"))
	f(mustLoad(t, "auth: {secret: "+testSecret+", leeway: 1h}"),
		"auth.leeway: a token is good for 1h0m0s after its exp")

	// The configuration's own file, where it holds the secret.
	cfg := mustLoad(t, "auth: {secret: "+testSecret+"}")
	if err := os.Chmod(cfg.Auth.heldIn, 0o644); err != nil {
		t.Fatal(err)
	}
	f(cfg, "auth.secret: every user of this machine may open "+cfg.Auth.heldIn)
	f(mustLoad(t, "", "TAPECAST_AUTH_SECRET="+testSecret))

	bound := func(auth string) *Config {
		return mustLoad(t, "kafka: {brokers: [a:1]}\nauth: {secret: "+testSecret+auth+"}\n"+routesOf("prices"))
	}
	f(bound(", issuer: i, audience: a"))
	f(bound(", issuer: i"), "auth.audience: is not set")
	f(bound(", audience: a"), "auth.issuer: is not set")
	f(bound(""), "auth: neither issuer nor audience is set")
}

// check --connect says line by line how brokers and topics are.
func TestConnectLines(t *testing.T) {
	broker, err := demo.StartEmbedded(t.Context(), []demo.TopicSpec{
		{Name: "quotes", Partitions: 2, Config: map[string]string{"cleanup.policy": "compact"}},
		{Name: "ticks", Partitions: 1}, {Name: "dead", Partitions: 1},
	}, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Stop()
	cfg := mustLoad(t, `
auth: {secret: `+testSecret+`}
kafka: {brokers: [`+strings.Join(broker.Addrs(), ",")+`], dead_letter: dead}
ingest:
  routes:
  - {topic: quotes, rooms: ["prices:{s}"], key: "{@key}"}
  - {topic: quotes, rooms: ["prices"], key: "{s}"}
  - {topic: ticks, rooms: ["trades:{s}"]}
  - {topic: absent, rooms: ["system_alerts"]}
`)
	var lines []string
	if n := cfg.Connect(t.Context(), func(line string) { lines = append(lines, line) }); n != 1 {
		t.Errorf("%d faults", n)
	}
	const gone = ` looks at the value, which a tombstone does not have, so that a deleted key stays in "`
	for _, want := range []string{
		"ok: broker " + broker.Addrs()[0] + ": answers",
		"ok: cluster tapecast-embedded: has 1 brokers: 0 at " + broker.Addrs()[0],
		"warning: topic quotes: is compacted: rooms of ingest.routes[0]" + gone +
			`prices:{s}"; take it from {@key} or {@header.x}`,
		"warning: topic quotes: is compacted: key of ingest.routes[1]" + gone +
			`prices"; take it from {@key} or {@header.x}`,
		"ok: topic quotes: has 2 partitions, cleanup.policy compact, all of them can be read",
		"ok: topic ticks: has 1 partitions, cleanup.policy delete, all of them can be read",
		"fault: topic absent: does not exist; create it, or correct ingest.routes[3].topic",
		"ok: topic dead: has 1 partitions, cleanup.policy delete, this user may write it",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no %s", want)
		}
	}
	if len(lines) != 8 {
		t.Errorf("found\n%s", strings.Join(lines, "\n"))
	}
}

func TestKafkaSection(t *testing.T) {
	f := func(text string, want ...string) { t.Helper(); faultsOf(t, "kafka:\n"+text, want...) }
	f("  start: now", `c.yaml:2: kafka.start: "now" is not a place to start from; write end, beginning, or a time `+
		`back such as 30s`)
	f("  start: 30s")
	f("  dead_letter: a b",
		`c.yaml:2: kafka.dead_letter: "a b" is not a topic name; use letters, digits, dots, dashes and underscores`)
	f("  max_record: 0",
		`c.yaml:2: kafka.max_record: 0 is too small: no record would be delivered; write 1 or more, or remove the `+
			`line for the default`)
	f("  librdkafka: {group.id: x}",
		`c.yaml:2: kafka.librdkafka.group.id: is set by the gateway; remove it: every node reads all partitions, `+
			`without a group`)
	f("  librdkafka:\n    client_ID: x",
		`c.yaml:3: kafka.librdkafka.client_ID: is not a property of librdkafka; did you mean client.id?`)
	f("  librdkafka: {security.protocol: sssl}",
		`c.yaml:2: kafka.librdkafka.security.protocol: "sssl" is unknown; did you mean ssl? (known: plaintext, ssl, `+
			`sasl_plaintext, sasl_ssl)`)
	f("  librdkafka: {security.protocol: ssl, ssl.certificate.location: c}",
		`c.yaml:2: kafka.librdkafka.ssl.certificate.location: is set without its private key; set ssl.key.location too`)
	f("  librdkafka: {security.protocol: ssl, ssl.key.pem: c}",
		`c.yaml:2: kafka.librdkafka.ssl.key.pem: is set without its certificate; set ssl.certificate.location too`)
	f("  librdkafka: {ssl.ca.location: c}",
		`c.yaml:2: kafka.librdkafka.ssl.ca.location: has no effect without TLS; set security.protocol to ssl or `+
			`sasl_ssl`)
	f("  librdkafka: {security.protocol: sasl_ssl, sasl.mechanism: PLAIN, sasl.username: u}",
		`c.yaml:2: kafka.librdkafka.sasl.username: is set without a password; set kafka.sasl_password_file, or `+
			`sasl.password beside it`)
	f("  librdkafka: {sasl.password: p}",
		`c.yaml:2: kafka.librdkafka.sasl.password: is set without a user; set sasl.username too`)
	f("  librdkafka: {sasl.username: u, sasl.password: p}",
		`c.yaml:2: kafka.librdkafka.sasl.username: has no effect without SASL; set security.protocol to sasl_ssl or `+
			`sasl_plaintext`)
	f("  brokers:\n  - a:1\n  - a:1\n  - b 2\nauth: {secret: "+testSecret+"}\n"+routesOf("prices"),
		`c.yaml:4: kafka.brokers[1]: "a:1" is named twice; remove one`,
		`c.yaml:5: kafka.brokers[2]: "b 2" is not a broker; write host:port, such as kafka-1:9092`)
	f("  brokers: [a:1]\n"+routesOf("prices"),
		`c.yaml:2: auth: kafka.brokers is set, but no key to check tokens with; set auth.secret, auth.secret_file, `+
			`auth.public_key, auth.public_key_file, auth.keys, auth.jwks_url or auth.verify.url`)
	f("  brokers: [a:1]\nauth: {secret: "+testSecret+"}",
		`c.yaml:2: ingest.routes: kafka.brokers is set, but no route leads from a topic to rooms; write ingest.routes`)
}

func TestDemoTakesWhatFits(t *testing.T) {
	cfg := mustLoad(t,
		"rooms: [{match: prices, class: market}, {match: \"orders:{owner}\", class: private}]\nauto_join: [prices]")
	if r := cfg.Routes(); len(r) != 2 || len(r[0].Rooms) != 1 || r[1].Topic != "private.orders" {
		t.Errorf("routes: %+v", r)
	}
	if n := len(mustLoad(t, "").Routes()); n < 5 {
		t.Errorf("%d routes by default", n)
	}
	faultsOf(t, "rooms: [{match: mine, class: market}]\nauto_join: []",
		`c.yaml:1: ingest.routes: is not set, and the demo market feeds none of these rooms; write ingest.routes, or `+
			`keep some of the built-in rooms`)
	faultsOf(t, "rooms: [{match: \"p*\", class: stream}]\nauto_join: []",
		`c.yaml:1: ingest.routes: is not set, and the demo market's topic events does not fit these rooms: rooms `+
			`"portfolio:{metadata.userId}" falls into room pattern "p*", which route 0 feeds from topic `+
			`"market.ticker": a position would be ambiguous; give each topic rooms of its own`)
}
