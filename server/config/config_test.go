package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const testSecret = "0123456789abcdef0123456789abcdef"

// load writes text as c.yaml and loads it, with an environment.
func load(t *testing.T, text string, environ ...string) (*Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(Sources{File: file, Environ: environ})
	if err != nil {
		faults := err.(Faults)
		for i := range faults {
			faults[i].At = strings.TrimPrefix(faults[i].At, filepath.Dir(file)+"/")
			faults[i].Msg = strings.ReplaceAll(faults[i].Msg, filepath.Dir(file)+"/", "")
		}
		err = faults
	}
	return cfg, err
}

func mustLoad(t *testing.T, text string, environ ...string) *Config {
	t.Helper()
	cfg, err := load(t, text, environ...)
	if err != nil {
		t.Fatalf("unexpected faults:\n%s", err)
	}
	return cfg
}

func TestDefaultsNeedNoSource(t *testing.T) {
	cfg, err := Load(Sources{})
	if err != nil {
		t.Fatalf("the built-in configuration has faults:\n%s", err)
	}
	want := Default()
	want.Rooms = append(want.Rooms, benchRooms()) // without brokers it is a demo
	if !reflect.DeepEqual(noNil(cfg), noNil(want)) {
		t.Fatalf("merging changes the defaults:\n got %+v\nwant %+v", cfg, want)
	}
	if !cfg.Demo() {
		t.Fatal("without brokers it must be a demo")
	}
	if cfg := mustLoad(t,
		"kafka: {brokers: [a:9092]}\nauth: {secret: "+testSecret+"}\n"+
			routesOf("prices")); len(cfg.Rooms) != len(Default().Rooms) {
		t.Errorf("with brokers the rooms are %+v", cfg.Rooms)
	}
}

// noNil makes empty and nil lists the same: sources do not tell them apart.
func noNil(c *Config) *Config {
	if len(c.Kafka.Brokers) == 0 {
		c.Kafka.Brokers = nil
	}
	if len(c.Kafka.Librdkafka) == 0 {
		c.Kafka.Librdkafka = nil
	}
	if len(c.Ingest.Routes) == 0 {
		c.Ingest.Routes = nil
	}
	return c
}

// Every default class is what the table of the design says.
func TestDefaultClasses(t *testing.T) {
	cfg := mustLoad(t, "")
	f := func(room, class, owner, lag string, conflate, snapshot bool) {
		t.Helper()
		catalog, err := cfg.Catalog()
		if err != nil {
			t.Fatal(err)
		}
		p, _, ok := catalog.Resolve(room)
		if !ok {
			t.Fatalf("no pattern for %q", room)
		}
		cl := cfg.Classes[p.Class.Name]
		if p.Class.Name != class || cl.Owner != owner || cl.Lag != lag || cl.Conflate != conflate ||
			cl.Snapshot != snapshot {
			t.Errorf("%q is of class %q %+v", room, p.Class.Name, cl)
		}
	}
	f("prices", "market", "", "skip", true, true)
	f("prices:BTCUSDT", "market", "", "skip", true, true)
	f("trades", "stream", "", "skip", false, false)
	f("trades:BTCUSDT", "stream", "", "skip", false, false)
	f("book:BTCUSDT", "book", "", "skip", false, false)
	f("system_alerts", "alert", "", "close", false, false)
	f("user:42", "private", "{sub}", "close", false, false)
	f("orders:42", "private", "{sub}", "close", false, false)
	f("notifications:42", "private", "{sub}", "close", false, false)
	f("portfolio:42", "state", "{sub}", "close", false, true)
	if got := len(cfg.AutoJoin); got != 7 {
		t.Errorf("%d rooms are joined automatically, want 7", got)
	}
	if cl := cfg.Classes["private"]; cl.Retain.Age != 30*time.Second {
		t.Errorf("private rooms keep %s, want 30s", cl.Retain.Age)
	}
}

func TestFileSetsEveryKindOfKey(t *testing.T) {
	cfg := mustLoad(t, `
server: {listen: "0.0.0.0:9000", drain: 1m30s, loops: 3, max_message: 128KiB, notsent_lowat: 16384}
admin: {pprof: true}
auth: {secret: `+testSecret+`, audience: 17, timeout: 5s}
limits: {messages_per_second: 0.5, connections: 10}
kafka:
  brokers: [a:9092, b:9092]
  start: 30s
  librdkafka: {fetch.wait.max.ms: 50, socket.keepalive.enable: true, client.id: "x"}
memory: {tapes: 268435456}
classes:
  market: {interval: 250ms}
  quick: {retain: {bytes: 1MiB}}
  bare:
log:
rooms: [{match: "prices", class: quick, max_rooms: 5}]
auto_join: []
`+routesOf("prices"))
	f := func(got, want any) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %#v, want %#v", got, want)
		}
	}
	f(cfg.Server.Listen, "0.0.0.0:9000")
	f(cfg.Server.Path, "/ws")
	f(cfg.Server.Drain, 90*time.Second)
	f(cfg.Server.Loops, 3)
	f(cfg.Server.MaxMessage, Size(128<<10))
	f(cfg.Server.NotSentLowat, Size(16384))
	f(cfg.Admin.Pprof, true)
	f(string(cfg.Auth.Secret), testSecret)
	f(cfg.Auth.Audience, "17")
	f(cfg.Auth.Timeout, 5*time.Second)
	f(cfg.Limits.MessagesPerSecond, 0.5)
	f(cfg.MaxConnections(), 10)
	f(cfg.MaxHalfOpen(), min(halfOpen, descriptorLimit()-reserved-10))
	f(cfg.Kafka.Brokers, []string{"a:9092", "b:9092"})
	f(cfg.Kafka.Librdkafka,
		map[string]string{"fetch.wait.max.ms": "50", "socket.keepalive.enable": "true", "client.id": "x"})
	f(cfg.Memory.Tapes, Size(1<<28))
	f(cfg.Log.Level, "info")
	// A built-in class is changed key by key, a new one starts from zero.
	f(cfg.Classes["market"].Interval, 250*time.Millisecond)
	f(cfg.Classes["market"].Retain, Retain{Bytes: 8 << 20, Age: 10 * time.Second})
	f(cfg.Classes["quick"], Class{Retain: Retain{Bytes: 1 << 20}})
	f(cfg.Classes["bare"], Class{})
	f(len(cfg.Classes), 8)
	// Lists replace the built-in ones.
	f(cfg.Rooms, []Room{{Match: "prices", Class: "quick", MaxRooms: 5}})
	f(cfg.AutoJoin, []string{})
	f(cfg.Demo(), false)
}

func routesOf(rooms ...string) string {
	s := "ingest:\n  routes:\n"
	for _, r := range rooms {
		s += fmt.Sprintf("    - {topic: t.%s, rooms: [%q], type: x}\n", r, r)
	}
	return s
}

func TestAliasesAndMergeKeys(t *testing.T) {
	cfg := mustLoad(t, `
classes:
  market: &m {conflate: true, max_keys: 7}
  mine: {<<: *m, max_keys: 8}
  both: {<<: [*m, {keep: true, max_keys: 9}], interval: 1s}
auto_join: &j [prices, trades]
`)
	if cl := cfg.Classes["mine"]; !cl.Conflate || cl.MaxKeys != 8 {
		t.Errorf("mine is %+v", cl)
	}
	if cl := cfg.Classes["both"]; !cl.Conflate || !cl.Keep || cl.MaxKeys != 7 || cl.Interval != time.Second {
		t.Errorf("both is %+v", cl)
	}
}

func TestFlagsGoOverEnvironmentOverFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	token := tokenFile(t, "a-token-of-tests-which-is-as-long-as-any")
	os.WriteFile(file, []byte("server: {listen: \"a:1\", path: /a}\nlog: {level: warn}\n"+
		"admin: {write: true, token_file: "+token+"}\n"), 0o600)
	cfg, err := Load(Sources{
		File:    file,
		Environ: []string{"TAPECAST_SERVER_LISTEN=b:2", "TAPECAST_SERVER_PATH=/b"},
		Flags:   []Flag{{"--listen", "server.listen", "c:3"}, {"--direct", "admin.direct", "true"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := cfg.Server; s.Listen != "c:3" || s.Path != "/b" || cfg.Log.Level != "warn" || !cfg.Admin.Direct {
		t.Fatalf("got %+v %+v %+v", s, cfg.Log, cfg.Admin)
	}
	_, err = Load(Sources{Flags: []Flag{{"--listen", "server.listen", "nowhere"},
		{"--direct", "admin.direct", "perhaps"}}})
	want := "--direct: admin.direct: cannot take \"perhaps\"; give true or false\n" +
		"--listen: server.listen: \"nowhere\" is not a host:port; write one such as 127.0.0.1:8080, or 0.0.0.0:8080 " +
		"for all IPv4 addresses, [::]:8080 for all"
	if err == nil || err.Error() != want {
		t.Fatalf("got %v\nwant %s", err, want)
	}
}

func TestEnvironment(t *testing.T) {
	cfg := mustLoad(t, "classes: {my_own: {keep: true}, dash-ed: {}}",
		"TAPECAST_AUTH_SECRET="+testSecret,
		"TAPECAST_LIMITS_CONNECTIONS_PER_ADDRESS=9", // a longer key than limits.connections
		"TAPECAST_LIMITS_CONNECTIONS=8",
		"TAPECAST_LIMITS_MESSAGES_PER_SECOND=2.5",
		"TAPECAST_SERVER_SEND_BUFFER=64KiB",
		"TAPECAST_SERVER_DRAIN=3s",
		"TAPECAST_ADMIN_PPROF=true",
		"TAPECAST_AUTO_JOIN=prices, user:{sub}",
		"TAPECAST_CLASSES_MARKET_RETAIN_AGE=4s",
		"TAPECAST_CLASSES_MY_OWN_MAX_KEYS=5",
		"TAPECAST_CLASSES_DASH_ED_KEEP=true",
		"TAPECAST_KAFKA_LIBRDKAFKA_FETCH_WAIT_MAX_MS=50",
		"TAPECAST_CONFIG=/somewhere/c.yaml",                                      // what names the file
		"TAPECAST_LOG_FORMAT=",                                                   // empty: not set
		"TAPECAST_DATA=/somewhere", "TAPECAST_E2E_FULL=1", "TAPECAST_COVERPKG=x", // the tests'
		"TAPECAST_SERVICE_HOST=10.0.0.1", "TAPECAST_PORT=tcp://10.0.0.1:80", "TAPECAST_PORT_8080_TCP_ADDR=10.0.0.1",
		"TAPECAST_ADMIN_SERVICE_PORT_HTTP=80", "TAPECAST_ADMIN_PORT_80_TCP=tcp://10.0.0.1:80",
		"OTHER=1", "nonsense",
	)
	f := func(got, want any) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %#v, want %#v", got, want)
		}
	}
	f(string(cfg.Auth.Secret), testSecret)
	limits := Default().Limits
	limits.Connections, limits.ConnectionsPerAddress, limits.MessagesPerSecond = 8, 9, 2.5
	f(cfg.Limits, limits)
	f(cfg.Server.SendBuffer, Size(64<<10))
	f(cfg.Server.Drain, 3*time.Second)
	f(cfg.Admin.Pprof, true)
	f(cfg.AutoJoin, []string{"prices", "user:{sub}"})
	f(cfg.Classes["market"].Retain, Retain{Bytes: 8 << 20, Age: 4 * time.Second})
	f(cfg.Classes["my_own"], Class{Keep: true, MaxKeys: 5})
	f(cfg.Classes["dash-ed"], Class{Keep: true})
	f(cfg.Kafka.Librdkafka, map[string]string{"fetch.wait.max.ms": "50"})
	f(cfg.Log.Format, "auto")
}

// Every scalar and list of the tree can be set by a variable of its own.
func TestEnvironmentReachesEveryKey(t *testing.T) {
	p := &envParser{collector: newCollector(), classes: []string{"market", "private"}}
	names := p.names(configTree, "", true)
	if len(names) < 60 {
		t.Fatalf("only %d variables: %v", len(names), names)
	}
	seen := map[string]string{}
	for _, n := range names {
		k, steps := p.resolve(configTree, n, nil)
		path := strings.Join(steps, ".")
		if k == nil || envName(path) != n {
			t.Errorf("%s resolves to %q", n, path)
		}
		if other := seen[path]; other != "" {
			t.Errorf("%s and %s both set %s", n, other, path)
		}
		seen[path] = n
	}
}

func TestSize(t *testing.T) {
	f := func(text string, want Size, print string) {
		t.Helper()
		got, err := ParseSize(text)
		if err != nil || got != want || got.String() != print {
			t.Errorf("%q is %d (%s), %v; want %d (%s)", text, got, got, err, want, print)
		}
	}
	f("0", 0, "0")
	f("512", 512, "512")
	f("512B", 512, "512")
	f("64KiB", 64<<10, "64KiB")
	f("1.5 MiB", 3<<19, "1536KiB")
	f("8MB", 8e6, "8000000")
	f("2TiB", 2<<40, "2TiB")
	f("1GB", 1e9, "1000000000")
	for _, bad := range []string{"", "MiB", "-1", "1.5", "8 megs", "NaN", "1e30", "8Mib"} {
		if v, err := ParseSize(bad); err == nil {
			t.Errorf("%q is taken as %d", bad, v)
		}
	}
}
