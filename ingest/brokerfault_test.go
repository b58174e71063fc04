package ingest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// certified returns a server's TLS configuration, with a certificate that no authority has signed.
func certified(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// misnamed starts a broker whose advertised name does not resolve.
func misnamed(t *testing.T) *kfake.Cluster {
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "a"))
	k.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		id := "misnamed"
		resp.ClusterID = &id
		b := kmsg.NewMetadataResponseBroker()
		b.Host, b.Port = "kafka-0.nowhere.invalid", 9092
		resp.Brokers = append(resp.Brokers, b)
		return resp, nil, true
	})
	return k
}

// The reason why Kafka cannot be reached is in one log line and in Health.
func TestWhyUnreachable(t *testing.T) {
	t.Parallel()
	plain := fake(t, kfake.NumBrokers(1)).ListenAddrs()
	login := fake(t, kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "good")).ListenAddrs()
	secure := fake(t, kfake.NumBrokers(1), kfake.TLS(certified(t))).ListenAddrs()
	as := func(protocol, mechanism string) map[string]string {
		return map[string]string{
			"security.protocol": protocol, "sasl.mechanism": mechanism, "sasl.username": "u", "sasl.password": "bad",
		}
	}
	for name, c := range map[string]struct {
		brokers []string
		props   map[string]string
		says    string
		helps   string
	}{
		"nobody": {[]string{"127.0.0.1:" + strconv.Itoa(freePort(t))}, nil, "Connection refused",
			"that the broker runs"},
		"no name": {[]string{"kafka.nowhere.invalid:9092"}, nil, "Failed to resolve",
			"check the name in kafka.brokers"},
		"advertised": {misnamed(t).ListenAddrs(), nil, "Failed to resolve 'kafka-0.nowhere.invalid",
			"advertised.listeners"},
		"password":   {login, as("sasl_plaintext", "PLAIN"), "SASL authentication error", "kafka.sasl_password_file"},
		"mechanism":  {login, as("sasl_plaintext", "SCRAM-SHA-256"), "SASL", "sasl.mechanism"},
		"no SASL":    {login, nil, "Disconnected", "SASL (sasl_plaintext)"},
		"no TLS":     {secure, nil, "Disconnected", "TLS (ssl)"},
		"login only": {secure, as("sasl_plaintext", "PLAIN"), "Disconnected", "it may want TLS (sasl_ssl)"},
		"authority": {secure, map[string]string{"security.protocol": "ssl"},
			"certificate verify failed", "ssl.ca.location"},
		"too much": {plain, as("sasl_plaintext", "PLAIN"), "SASL authentication error", "sasl.username"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, c.brokers, Config{Librdkafka: c.props}, allOf("a")).start()
			fits := func() bool {
				ok, detail := r.c.Health()
				return !ok && strings.Contains(detail, c.says) && strings.Contains(detail, c.helps)
			}
			defer func() {
				if t.Failed() {
					_, detail := r.c.Health()
					t.Logf("health says %q", detail)
				}
			}()
			eventually(t, "said by health", fits)
			line := `level=WARN msg="Kafka cannot be reached" error="`
			eventually(t, "in the log", func() bool { return r.log.count(c.says) > 0 && r.log.count(line) > 0 })
			if r.log.count("Kafka back") > 0 || r.log.count("Kafka lost") > 0 || r.c.Up() || r.c.Ready() {
				t.Error("logged as back, lost or ready")
			}
			if n := r.log.count("level=WARN"); n > 2 || n > 1 && r.log.count("Local: ") == 0 {
				t.Errorf("%d lines", n)
			}
		})
	}
}

// Log lines that librdkafka writes about real brokers, and the faults they give.
func TestBrokerFaultKinds(t *testing.T) {
	t.Parallel()
	f := func(line string, kind brokerTrouble, broker, helps string) {
		t.Helper()
		faults := newBrokerFaults([]string{"kafka-1:9092"}, map[string]string{"security.protocol": "SASL_SSL"})
		faults.logged(kafka.LogEvent{Tag: "FAIL", Message: line})
		got, ok := faults.worst()
		if !ok || got.kind != kind || got.broker != broker || !strings.Contains(faults.remedy(got), helps) {
			t.Errorf("%q: %+v, remedy %q", line, got, faults.remedy(got))
		}
		if strings.Contains(got.text(), "ms in state") || strings.Contains(got.text(), "thrd:") {
			t.Errorf("says %q", got.text())
		}
	}
	const in = "[thrd:sasl_ssl://kafka-1:9092/bootstrap]: sasl_ssl://kafka-1:9092/bootstrap: "
	f(in+"SASL authentication error: Authentication failed: Invalid username or password (after 309ms in state "+
		"AUTH_REQ)",
		brokerLogin, "kafka-1:9092", "sasl_password_file")
	f(in+"SASL mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported mechanisms: PLAIN "+
		"(after 3ms in state AUTH_HANDSHAKE)", brokerMechanism, "kafka-1:9092", "sasl.mechanism")
	f(in+"SASL mechanism handshake failed: Broker: Request not valid in current SASL state (after 2ms in state "+
		"AUTH_HANDSHAKE)",
		brokerNoSASL, "kafka-1:9092", "takes no login")
	f(in+"SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener? (after 6ms in state "+
		"SSL_HANDSHAKE)",
		brokerNoTLS, "kafka-1:9092", "does not speak TLS")
	f(in+"SSL handshake failed: error:0A00010B:SSL routines::wrong version number: connecting to a PLAINTEXT broker "+
		"listener? (after 6ms in state SSL_HANDSHAKE)", brokerNoTLS, "kafka-1:9092", "does not speak TLS")
	f(in+"Receive failed: Invalid response size 352518912 (0..100000000): increase receive.message.max.bytes "+
		"(after 2ms in state APIVERSION_QUERY)", brokerWantsTLS, "kafka-1:9092", "speaks TLS")
	f(in+"SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not "+
		"be "+
		"verified, verify that ssl.ca.location is correctly configured (after 9ms in state SSL_HANDSHAKE)",
		brokerCA, "kafka-1:9092", "ssl.ca.location")
	f(in+"SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: hostname mismatch "+
		"(after 9ms in state SSL_HANDSHAKE)", brokerHost, "kafka-1:9092", "as their certificates do")
	f(in+"error:0A00045C:SSL routines::tlsv13 alert certificate required (after 9ms in state APIVERSION_QUERY)",
		brokerWantsCert, "kafka-1:9092", "ssl.key.location")
	f("[thrd:kafka-2:9093/2]: kafka-2:9093/2: Connect to ipv4#10.0.0.2:9093 failed: Connection refused "+
		"(after 0ms in state CONNECT, 1 identical error(s) suppressed)", brokerRefuses, "kafka-2:9093",
		"advertised.listeners")
	f(in+"Connect to ipv4#10.0.0.2:9092 failed: No route to host (after 0ms in state CONNECT)",
		brokerUnroutable, "kafka-1:9092", "the network between")
	f(in+"Connection setup timed out in state CONNECT (after 30000ms in state CONNECT)",
		brokerSilent, "kafka-1:9092", "what filters the network")
}

// The fault of the greatest kind stays while librdkafka repeats it. However many brokers come and
// go, at most maxBrokerFaults faults are kept.
func TestBrokerFaultsKept(t *testing.T) {
	t.Parallel()
	now := time.Now()
	f := newBrokerFaults(nil, nil)
	f.note(0, "b:1/1: SASL authentication error: no", now.Add(-brokerFaultFor))
	f.note(0, "a:1/1: Connect to ipv4#1.2.3.4:1 failed: Connection refused", now)
	if w, ok := f.worst(); !ok || w.broker != "a:1" {
		t.Errorf("an old fault counts: %+v", w)
	}
	f.note(0, "a:1/1: Disconnected", now)
	if w, _ := f.worst(); w.kind != brokerRefuses {
		t.Errorf("a weaker fault replaced it: %+v", w)
	}
	f.note(kafka.ErrAllBrokersDown, "2/2 brokers are down", now)
	for i := range 3 * maxBrokerFaults {
		f.note(0, fmt.Sprintf("host-%d:1/1: Failed to resolve 'host-%d:1'", i, i), now.Add(time.Duration(i)))
	}
	if n := len(f.list); n != maxBrokerFaults {
		t.Errorf("%d faults are kept", n)
	}
	if w, _ := f.worst(); w.kind != brokerNoName {
		t.Errorf("the worst is %+v", w)
	}
	f.forget()
	if _, ok := f.worst(); ok {
		t.Error("faults are left although brokers answer")
	}
}
