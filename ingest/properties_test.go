package ingest

import (
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// pairs returns properties from a list of name, value, name, value.
func pairs(kv []string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return m
}

// CheckProperties finds properties that librdkafka refuses by themselves, without a client.
func TestCheckProperties(t *testing.T) {
	f := func(want string, kv ...string) {
		t.Helper()
		var got []string
		for _, x := range CheckProperties(pairs(kv)) {
			got = append(got, x.Property+" "+x.Msg)
			if x.Unknown != (x.Do == "") {
				t.Errorf("%v: unknown %v, remedy %q", kv, x.Unknown, x.Do)
			}
		}
		if g := strings.Join(got, "|"); g != want {
			t.Errorf("%v: %s, want %s", kv, g, want)
		}
	}
	f("")
	f("", "log_level", "3", "linger.ms", "5", "acks", "all", "client.id", "", "ssl.ca.location", "probe")
	f("fetch.wait.max.mss is not a property of librdkafka", "fetch.wait.max.mss", "1")
	f("go.events is not a property of librdkafka", "go.events", "1")
	f("acks\x00 is not a property of librdkafka", "acks\x00", "all")
	f("client.id it holds a NUL", "client.id", "a\x00b")
	f(`session.timeout.ms librdkafka does not take "abc"`, "session.timeout.ms", "abc")
	f("fetch.min.bytes -5 is outside of 0..2147483647", "fetch.min.bytes", "-5")
	f(`auto.offset.reset is "latest", and the gateway needs "error", which it sets itself`, "auto.offset.reset",
		"latest")
	f(`enable.auto.commit is "true", and the gateway needs "false", which it sets itself`, "enable.auto.commit", "true")
	f(`acks is "1", and the gateway needs "all", which it sets itself`, "acks", "1")
	f(`request.required.acks is "1", and the gateway needs "all", which it sets itself`, "request.required.acks", "1")
	f("delivery.timeout.ms is another name of message.timeout.ms, which is set too", "delivery.timeout.ms", "1",
		"message.timeout.ms", "2")
	f("ssl.ca.location cannot read it: /nowhere/ca.pem: no such file or directory", "ssl.ca.location",
		"/nowhere/ca.pem")
	f("sasl.jaas.config Java JAAS configuration is not supported", "sasl.jaas.config", "hush")
	f("ssl.truststore.location Java TrustStores are not supported, use `ssl.ca.location` and a certificate file "+
		"instead.", "ssl.truststore.location", "x")
	f(`opaque Property "opaque" must be set through dedicated .._set_..() function`, "opaque", "x")
	f("sasl.mechanism is OAUTHBEARER, for which the gateway gets tokens by OIDC only", "sasl.mechanism", "OAUTHBEARER")
	f("", "sasl.mechanisms", "OAUTHBEARER", "sasl.oauthbearer.method", "OIDC")
	if names := PropertyNames(); !slices.Contains(names, "sasl.username") || !slices.Contains(names, "log_level") ||
		!slices.Contains(names, "acks") {
		t.Errorf("properties: %v", names)
	}
}

// A property with two names gets one value, and always the operator's.
func TestAliases(t *testing.T) {
	for range 20 { // the order of a map is random
		conf, err := publisherConf(nil, map[string]string{"queue.buffering.max.ms": "7", "delivery.timeout.ms": "8"})
		if err != nil {
			t.Fatal(err)
		}
		if (*conf)["linger.ms"] != "7" || (*conf)["message.timeout.ms"] != "8" ||
			(*conf)["queue.buffering.max.ms"] != nil {
			t.Fatalf("%v", conf)
		}
	}
	if conf, err := recallConf(
		Config{Librdkafka: map[string]string{"max.partition.fetch.bytes": "5000000"}}); err != nil ||
		(*conf)["fetch.message.max.bytes"] != "262144" || (*conf)["max.partition.fetch.bytes"] != nil {
		t.Errorf("recall: %v %v", conf, err)
	}
}

// TryClients finds properties that librdkafka refuses together. Its clients connect to nothing,
// and are closed.
func TestTryClients(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	f := func(want string, kv ...string) {
		t.Helper()
		var got []string
		m := pairs(kv)
		was := maps.Clone(m)
		for _, x := range TryClients(Config{Brokers: []string{"127.0.0.1:1"}, Librdkafka: m}) {
			got = append(got, x.Property+" "+x.Msg+"; "+x.Do)
		}
		if g := strings.Join(got, "|"); !strings.HasPrefix(g, want) || want == "" && g != "" {
			t.Errorf("%v: %s, want %s", kv, g, want)
		}
		if !maps.Equal(m, was) {
			t.Errorf("%v became %v", was, m)
		}
	}
	f("")
	f("", "fetch.max.bytes", "60000000", "debug", "all")
	f("sasl.mechanism librdkafka refuses it: Unsupported hash function: SCRAM-SHA-265", "security.protocol", "sasl_ssl",
		"sasl.mechanism", "SCRAM-SHA-265", "sasl.username", "u", "sasl.password", "p")
	f("sasl.mechanism librdkafka refuses it: No provider for SASL mechanism GSSAPI", "security.protocol", "sasl_ssl")
	f("fetch.max.bytes librdkafka refuses it: `fetch.max.bytes` must be >= `message.max.bytes`", "fetch.max.bytes", "5")
	f("max.in.flight librdkafka refuses it: `max.in.flight` must be set <= 5 when `enable.idempotence` is true",
		"max.in.flight.requests.per.connection", "10")
	f("ssl.ca.location librdkafka refuses it: ssl.ca.location failed", "security.protocol", "ssl",
		"ssl.ca.location", filepath.Join(t.TempDir(), "ca.pem"))
	oidc := []string{"security.protocol", "sasl_plaintext", "sasl.mechanism", "OAUTHBEARER",
		"sasl.oauthbearer.method", "oidc"}
	f("sasl.oauthbearer.method librdkafka refuses it: `sasl.oauthbearer.token.endpoint.url` is mandatory", oidc...)
	f("", append(oidc, "sasl.oauthbearer.client.id", "i", "sasl.oauthbearer.client.secret", "s",
		"sasl.oauthbearer.token.endpoint.url", "http://127.0.0.1:1/token")...)
	eventually(t, "as before", func() bool { return runtime.NumGoroutine() <= goroutines })
}
