package ingest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// propertyAliases are other names of librdkafka's properties that the gateway sets or reads, and
// the names that it uses. Otherwise one property could get two values, and the last would win.
var propertyAliases = map[string]string{
	"metadata.broker.list":                  "bootstrap.servers",
	"request.required.acks":                 "acks",
	"queue.buffering.max.ms":                "linger.ms",
	"delivery.timeout.ms":                   "message.timeout.ms",
	"max.partition.fetch.bytes":             "fetch.message.max.bytes",
	"sasl.mechanisms":                       "sasl.mechanism",
	"compression.codec":                     "compression.type",
	"message.send.max.retries":              "retries",
	"max.in.flight.requests.per.connection": "max.in.flight",
}

// unsetProperties are the properties that librdkafka has no default for. PropertyNames needs
// them: the nearest name is suggested for an unknown one.
var unsetProperties = []string{
	"bootstrap.servers", "acks", "linger.ms", "compression.type", "sasl.mechanism", "retries", "max.in.flight",
	"sasl.username", "sasl.password", "ssl.ca.location", "ssl.ca.pem",
	"ssl.certificate.location", "ssl.certificate.pem",
	"ssl.key.location", "ssl.key.pem", "ssl.key.password", "ssl.keystore.location", "ssl.keystore.password",
	"ssl.crl.location", "ssl.cipher.suites", "ssl.curves.list", "ssl.sigalgs.list", "https.ca.location",
	"sasl.oauthbearer.client.id", "sasl.oauthbearer.client.secret", "sasl.oauthbearer.token.endpoint.url",
	"sasl.oauthbearer.scope", "sasl.oauthbearer.extensions", "sasl.oauthbearer.config", "transactional.id",
}

// canonical returns the operator's properties under the names that the gateway uses.
func canonical(theirs map[string]string) map[string]string {
	out := make(map[string]string, len(theirs))
	for name, v := range theirs {
		if own, ok := propertyAliases[name]; ok {
			if _, both := theirs[own]; both {
				continue
			}
			name = own
		}
		out[name] = v
	}
	return out
}

// PropertyFault is a fault of kafka.librdkafka.
type PropertyFault struct {
	Property string // "": no single one
	Msg, Do  string // Do is the remedy; "" if Unknown
	Unknown  bool   // librdkafka has no such property
}

// fileProperties name files that librdkafka reads when a client is made.
var fileProperties = []string{
	"ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.keystore.location", "ssl.crl.location",
	"https.ca.location",
}

// CheckProperties returns the faults of the operator's properties, each by itself: librdkafka or
// the gateway refuses it. It makes no client.
func CheckProperties(theirs map[string]string) []PropertyFault {
	var out []PropertyFault
	add := func(name, do, msg string, args ...any) {
		out = append(out, PropertyFault{Property: name, Msg: fmt.Sprintf(msg, args...), Do: do})
	}
	fixed := maps.Clone(consumerFixed)
	maps.Copy(fixed, publisherFixed)
	for _, name := range slices.Sorted(maps.Keys(theirs)) {
		value, own := theirs[name], name
		if other, ok := propertyAliases[name]; ok {
			own = other
		}
		must, held := fixed[own]
		switch code, said := tryWhole(name, value); {
		case code == unknownProperty:
			out = append(out, PropertyFault{Property: name, Msg: "is not a property of librdkafka", Unknown: true})
		case code != 0:
			add(name, badRemedy(name), "%s", badWords(name, value, said))
		case own != name && theirs[own] != "":
			add(name, "keep one of the two", "is another name of %s, which is set too", own)
		case held && value != must:
			add(name, "remove it", "is %q, and the gateway needs %q, which it sets itself", value, must)
		case value != "" && slices.Contains(fileProperties, name) && value != "probe":
			if err := readable(value); err != nil {
				add(name, "name a file that this user can read", "cannot read it: %s", err)
			}
		}
	}
	m := canonical(theirs)
	byOIDC := strings.EqualFold(m["sasl.oauthbearer.method"], "oidc")
	if m["sasl.mechanism"] == "OAUTHBEARER" && !byOIDC && m["enable.sasl.oauthbearer.unsecure.jwt"] != "true" {
		const do = "set sasl.oauthbearer.method to oidc, and its client.id, client.secret and token.endpoint.url"
		add("sasl.mechanism", do, "is OAUTHBEARER, for which the gateway gets tokens by OIDC only")
	}
	return out
}

// tryWhole is tryProperty, except for a NUL, which C would cut, and plugins, which would be loaded.
func tryWhole(name, value string) (code int, said string) {
	switch {
	case strings.ContainsRune(name, 0):
		return unknownProperty, ""
	case strings.ContainsRune(value, 0):
		return badProperty, "it holds a NUL"
	case strings.HasPrefix(name, "plugin."):
		return 0, ""
	}
	return tryProperty(name, value)
}

// badWords returns why librdkafka does not take a value. It repeats no value that may be secret.
func badWords(name, value, said string) string {
	said = strings.TrimSpace(said)
	if _, at, ok := strings.Cut(said, "is outside allowed range "); ok {
		return value + " is outside of " + strings.TrimSpace(at)
	}
	if strings.HasPrefix(said, "Invalid value") {
		if secretProperty(name) {
			return "librdkafka does not take its value"
		}
		return fmt.Sprintf("librdkafka does not take %q", value)
	}
	if at := strings.LastIndex(said, " See http"); at > 0 { // the address is often cut
		said = said[:at]
	}
	if at := strings.LastIndex(said, ", see http"); at > 0 {
		said = said[:at]
	}
	return said
}

func secretProperty(name string) bool {
	return strings.Contains(name, "password") || strings.Contains(name, "secret") || strings.Contains(name, "key") ||
		strings.HasSuffix(name, ".pem") || strings.Contains(name, "jaas")
}

func badRemedy(name string) string {
	switch name {
	case "sasl.jaas.config":
		return "set sasl.mechanism, sasl.username and kafka.sasl_password_file"
	case "ssl.truststore.location":
		return "set ssl.ca.location to a PEM file with the authority's certificate"
	}
	return "write what librdkafka's CONFIGURATION.md lists for it, or remove it"
}

func readable(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "open "))
	}
	return f.Close()
}
