package ingest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

type brokerFault struct {
	broker string        // as librdkafka names it: host:port; "": no single one
	kind   brokerTrouble // decides the remedy
	said   string        // in librdkafka's words
	at     time.Time     // when librdkafka said it last
}

// brokerTrouble is the kind of a broker's fault. Of two kinds the greater says more: every
// connection that fails also ends.
type brokerTrouble uint8

const (
	brokerUnknown    brokerTrouble = iota // only "timed out" or "transport failure" is known
	brokerSilent                          // the broker does not answer on a connection
	brokerCloses                          // the broker ends the connection before it answers
	brokerRefuses                         // nothing listens on the port
	brokerUnroutable                      // the network has no route to the broker
	brokerNoName                          // the broker's name does not resolve
	brokerNoTLS                           // we speak TLS, and the port does not
	brokerWantsTLS                        // the port speaks TLS, and we do not
	brokerTLS                             // the TLS handshake fails for another reason
	brokerCA                              // an unknown authority signed the broker's certificate
	brokerHost                            // the broker's certificate is for another name
	brokerWantsCert                       // the broker asks for a certificate that we do not have
	brokerNoSASL                          // we log in, and the port takes no login
	brokerMechanism                       // the broker does not take our SASL mechanism
	brokerLogin                           // the broker does not take our user or password
)

// brokerSigns are librdkafka's words for each kind, in lower case. The first match decides.
var brokerSigns = []struct {
	words string
	kind  brokerTrouble
}{
	{"failed to resolve", brokerNoName},
	{"plaintext broker listener", brokerNoTLS},
	{"wrong version number", brokerNoTLS},
	{"packet length too long", brokerNoTLS},
	{"connecting to a ssl listener", brokerWantsTLS},
	{"invalid response size 352", brokerWantsTLS}, // a TLS alert, read as the length of an answer
	{"certificate required", brokerWantsCert},
	{"bad certificate", brokerWantsCert},
	{"hostname mismatch", brokerHost},
	{"ip address mismatch", brokerHost},
	{"certificate verify failed", brokerCA},
	{"unknown ca", brokerWantsCert}, // the broker says it of our certificate
	{"ssl handshake", brokerTLS},
	{"error:0a", brokerTLS}, // OpenSSL's codes
	{"current sasl state", brokerNoSASL},
	{"sasl mechanism", brokerMechanism},
	{"mechanism handshake failed", brokerMechanism},
	{"sasl", brokerLogin},
	{"authentication failed", brokerLogin},
	{"connection refused", brokerRefuses},
	{"no route to host", brokerUnroutable},
	{"network is unreachable", brokerUnroutable},
	{"host is unreachable", brokerUnroutable},
	{"timed out", brokerSilent},
	{"in state auth_req", brokerLogin}, // the broker ends the connection after our login
	{"disconnected", brokerCloses},
}

const (
	// maxBrokerFaults bounds the brokers whose faults are kept. Beyond it the oldest goes.
	maxBrokerFaults = 64
	// brokerFaultFor is how long a fault counts after librdkafka said it last. librdkafka
	// repeats the fault of a broker every 30 s.
	brokerFaultFor = 75 * time.Second
)

// brokerFaults gathers the faults of brokers from the logs and errors of librdkafka's clients.
// The error of a request for metadata has no reason. Any goroutine may use it. Nil gathers none.
type brokerFaults struct {
	known []string // kafka.brokers
	tls   bool     // by security.protocol
	sasl  bool

	mu   sync.Mutex
	list map[string]brokerFault // by broker
}

func newBrokerFaults(brokers []string, librdkafka map[string]string) *brokerFaults {
	protocol := strings.ToLower(librdkafka["security.protocol"])
	return &brokerFaults{
		known: brokers, tls: strings.HasSuffix(protocol, "ssl"), sasl: strings.HasPrefix(protocol, "sasl"),
		list: map[string]brokerFault{},
	}
}

var (
	// brokerLine is "[thrd:NAME]: sasl_ssl://host:port/bootstrap: WORDS (after 3ms in state CONNECT)".
	brokerLine = regexp.MustCompile(`^(?:\[thrd:[^\]]*\]: )?(?:[a-z_]+://)?([^/\s]+)/(?:bootstrap|\d+): (.+)$`)
	brokerTail = regexp.MustCompile(` \(after \d+ms in state .*\)$`)
)

// logged notes a log line of a client. The watcher logs a lost broker once, from these faults.
func (f *brokerFaults) logged(l kafka.LogEvent) {
	if l.Tag == "FAIL" || l.Tag == "ERROR" {
		f.note(kafka.ErrNoError, l.Message, time.Now())
	}
}

func (f *brokerFaults) failed(code kafka.ErrorCode, said string) { f.note(code, said, time.Now()) }

func (f *brokerFaults) note(code kafka.ErrorCode, said string, now time.Time) {
	m := brokerLine.FindStringSubmatch(said)
	if m == nil || f == nil {
		return // an error of all brokers, or of a topic
	}
	one := brokerFault{broker: m[1], said: brokerTail.ReplaceAllString(m[2], ""), at: now}
	one.kind = f.kindOf(code, m[2])
	f.mu.Lock()
	defer f.mu.Unlock()
	if old, ok := f.list[one.broker]; ok && old.kind > one.kind && now.Sub(old.at) < brokerFaultFor {
		return
	} else if !ok && len(f.list) >= maxBrokerFaults {
		byAge := func(a, b brokerFault) int { return a.at.Compare(b.at) }
		delete(f.list, slices.MinFunc(slices.Collect(maps.Values(f.list)), byAge).broker)
	}
	f.list[one.broker] = one
}

func (f *brokerFaults) kindOf(code kafka.ErrorCode, said string) brokerTrouble {
	words := strings.ToLower(said)
	kind := brokerUnknown
	for _, sign := range brokerSigns {
		if strings.Contains(words, sign.words) {
			kind = sign.kind
			break
		}
	}
	switch {
	case kind == brokerCloses && f.tls && strings.Contains(words, "ssl_handshake"):
		return brokerTLS
	case kind == brokerUnknown && code == kafka.ErrSsl:
		return brokerTLS
	case kind == brokerUnknown && code == kafka.ErrAuthentication:
		return brokerLogin
	case kind == brokerUnknown && code == kafka.ErrResolve:
		return brokerNoName
	}
	return kind
}

// worst returns the fault of the greatest kind that still counts; false: there is none. Of
// two of the same kind it returns that of the first broker by name, so that it stays the same.
func (f *brokerFaults) worst() (w brokerFault, ok bool) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.list {
		if now.Sub(one.at) >= brokerFaultFor {
			continue
		}
		if !ok || one.kind > w.kind || one.kind == w.kind && one.broker < w.broker {
			w, ok = one, true
		}
	}
	return w, ok
}

func (f *brokerFaults) forget() {
	f.mu.Lock()
	clear(f.list)
	f.mu.Unlock()
}

// text returns the fault in librdkafka's words, with the broker.
func (b brokerFault) text() string {
	if b.broker == "" || strings.Contains(b.said, b.broker) {
		return b.said
	}
	return b.broker + ": " + b.said
}

// remedy returns what the operator should do about a fault.
func (f *brokerFaults) remedy(b brokerFault) string {
	const prefix = "kafka.librdkafka."
	switch b.kind {
	case brokerLogin:
		if !f.sasl {
			return "set " + prefix + "security.protocol to sasl_ssl or sasl_plaintext, and sasl.mechanism"
		}
		return "check " + prefix + "sasl.username, its password (kafka.sasl_password_file) and " +
			prefix + "sasl.mechanism"
	case brokerMechanism:
		return "set " + prefix + "sasl.mechanism to one that the brokers take"
	case brokerNoSASL:
		return "the port takes no login: set " + prefix + "security.protocol to plaintext or ssl, or name the SASL port"
	case brokerCA:
		return "set " + prefix + "ssl.ca.location to a file with the certificate of the authority that " +
			"signed the brokers'"
	case brokerHost:
		return "name brokers in kafka.brokers and advertised.listeners as their certificates do"
	case brokerWantsCert:
		return "set " + prefix + "ssl.certificate.location and ssl.key.location to a certificate that the brokers trust"
	case brokerTLS:
		return "check " + prefix + "security.protocol and its ssl.* neighbours, and that the port speaks TLS"
	case brokerNoTLS:
		return "the port does not speak TLS: set " + prefix + "security.protocol to plaintext or sasl_plaintext, " +
			"or name the TLS port"
	case brokerWantsTLS:
		return "the port speaks TLS: set " + prefix + "security.protocol to ssl or sasl_ssl"
	case brokerNoName, brokerRefuses, brokerUnroutable:
		return f.whereRemedy(b)
	case brokerCloses:
		return f.closesRemedy()
	}
	silent := "check kafka.brokers and what filters the network between"
	if f.tls {
		silent += ", and that the port speaks TLS"
	}
	return silent
}

// whereRemedy is the remedy for an address at which no broker is found.
func (f *brokerFaults) whereRemedy(b brokerFault) string {
	if !slices.Contains(f.known, b.broker) && len(f.known) > 0 && b.broker != "" {
		return fmt.Sprintf("the brokers themselves name %s (advertised.listeners): "+
			"correct that, or make it reachable from here", b.broker)
	}
	switch b.kind {
	case brokerNoName:
		return "check the name in kafka.brokers, and this machine's DNS"
	case brokerRefuses:
		return "check host and port in kafka.brokers, and that the broker runs"
	}
	return "check the address in kafka.brokers, and the network between"
}

// closesRemedy is for brokers that just end the connection: they may expect another protocol.
func (f *brokerFaults) closesRemedy() string {
	const set = "set kafka.librdkafka.security.protocol to what the port speaks: "
	switch {
	case f.tls && f.sasl:
		return "check that the port speaks SASL over TLS (kafka.librdkafka.security.protocol), and sasl.mechanism"
	case f.tls:
		return set + "it may want SASL too (sasl_ssl)"
	case f.sasl:
		return set + "it may want TLS (sasl_ssl)"
	}
	return set + "it may want TLS (ssl), SASL (sasl_plaintext) or both (sasl_ssl)"
}
