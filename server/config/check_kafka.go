package config

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tapecast/ingest"
)

var topicName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)

func (c *collector) checkKafka(k *Kafka) {
	seen := map[string]bool{}
	for i, b := range k.Brokers {
		path := index("kafka.brokers", i)
		if msg, do := brokerFault(b); msg != "" {
			c.add(path, fmt.Sprintf("%q %s", b, msg), "%s", do)
		} else if seen[b] {
			c.add(path, fmt.Sprintf("%q is named twice", b), "remove one")
		}
		seen[b] = true
	}
	if d, err := time.ParseDuration(k.Start); k.Start != "end" && k.Start != "beginning" && (err != nil || d <= 0) {
		c.add("kafka.start", fmt.Sprintf("%q is not a place to start from", k.Start),
			"write end, beginning, or a time back such as 30s")
	}
	c.oneOf("kafka.require_topics", k.RequireTopics, "any", "all")
	if k.DeadLetter != "" && !topicName.MatchString(k.DeadLetter) {
		c.add("kafka.dead_letter", fmt.Sprintf("%q is not a topic name", k.DeadLetter),
			"use letters, digits, dots, dashes and underscores")
	}
	c.checkLibrdkafka(k.Librdkafka)
	c.tryClients(k)
}

// brokerFault returns what is wrong with a broker's address, and what to do, or "".
func brokerFault(b string) (msg, do string) {
	const write = "write host:port, such as kafka-1:9092"
	switch {
	case strings.Contains(b, "://"):
		return "has a scheme", write + "; kafka.librdkafka.security.protocol says whether TLS is spoken"
	case strings.ContainsAny(b, ";,"):
		return "holds more than one broker", "write each as an entry of its own: [kafka-1:9092, kafka-2:9092]"
	case strings.ContainsAny(b, " \t\r\n/@\x00"):
		return "is not a broker", write
	}
	host, port := b, ""
	if at := strings.LastIndexByte(b, ':'); at >= 0 && !strings.HasSuffix(b, "]") {
		host, port = b[:at], b[at+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Sprintf("has the port %q, which is not a number from 1 to 65535", port), write
		}
	}
	inner, bracketed := strings.CutPrefix(host, "[")
	if bracketed {
		inner = strings.TrimSuffix(inner, "]")
	}
	ip, err := netip.ParseAddr(inner)
	switch {
	case host == "":
		return "has no host", write
	case bracketed && (err != nil || !ip.Is6() || host != "["+inner+"]"):
		return "has brackets around something that is not an IPv6 address", "write it such as [2001:db8::1]:9092"
	case !bracketed && strings.Contains(host, ":"):
		return "has a host with colons", "write an IPv6 address in brackets, such as [2001:db8::1]:9092"
	}
	return "", ""
}

// ours holds the properties of librdkafka that the gateway sets itself.
var ours = map[string]string{
	"bootstrap.servers":    "use kafka.brokers",
	"metadata.broker.list": "use kafka.brokers",
	"group.id":             "remove it: every node reads all partitions, without a group",
}

func (c *collector) checkLibrdkafka(m map[string]string) {
	path := func(name string) string { return "kafka.librdkafka." + name }
	set := func(names ...string) string {
		for _, n := range names {
			if m[n] != "" {
				return n
			}
		}
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if do, ok := ours[name]; ok {
			c.add(path(name), "is set by the gateway", "%s", do)
		}
	}
	cert, key := set("ssl.certificate.location", "ssl.certificate.pem"), set("ssl.key.location", "ssl.key.pem")
	if cert != "" && key == "" {
		c.add(path(cert), "is set without its private key", "set ssl.key.location too")
	}
	if key != "" && cert == "" {
		c.add(path(key), "is set without its certificate", "set ssl.certificate.location too")
	}
	user, password := set("sasl.username"), set("sasl.password")
	if user != "" && password == "" && !c.has("kafka.sasl_password_file") {
		c.add(path(user), "is set without a password", "set kafka.sasl_password_file, or sasl.password beside it")
	}
	if password != "" && user == "" {
		c.add(path(password), "is set without a user", "set sasl.username too")
	}
	proto := strings.ToLower(m["security.protocol"])
	if proto != "" {
		c.oneOf(path("security.protocol"), proto, "plaintext", "ssl", "sasl_plaintext", "sasl_ssl")
	}
	if ca := set("ssl.ca.location", "ssl.ca.pem"); (cert != "" || ca != "") && !strings.HasSuffix(proto, "ssl") {
		c.add(path(set("ssl.ca.location", "ssl.ca.pem", cert)), "has no effect without TLS",
			"set security.protocol to ssl or sasl_ssl")
	}
	if user != "" && !strings.HasPrefix(proto, "sasl_") {
		c.add(path(user), "has no effect without SASL", "set security.protocol to sasl_ssl or sasl_plaintext")
	}
	c.checkMechanism(m, proto)
	c.checkProperties(m)
}

// checkMechanism checks sasl.mechanism, whose default is not in this build.
func (c *collector) checkMechanism(m map[string]string, proto string) {
	const path = "kafka.librdkafka."
	name, mechanism := "sasl.mechanism", m["sasl.mechanism"]
	if m["sasl.mechanisms"] != "" {
		name, mechanism = "sasl.mechanisms", m["sasl.mechanisms"]
	}
	switch {
	case mechanism != "":
		c.oneOf(path+name, mechanism, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
	case strings.HasPrefix(proto, "sasl_"):
		c.add(path+"security.protocol", "wants a login, and sasl.mechanism does not say which",
			"set sasl.mechanism to PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")
	}
}

// checkProperties lets librdkafka check its properties. It runs after the checks that explain more.
func (c *collector) checkProperties(m map[string]string) {
	for _, f := range ingest.CheckProperties(m) {
		if f.Unknown {
			f.Do = "remove it; librdkafka's CONFIGURATION.md lists all of them"
			if n := nearest(f.Property, ingest.PropertyNames()); n != "" {
				f.Do = "did you mean " + n + "?"
			}
		}
		c.add("kafka.librdkafka."+f.Property, f.Msg, "%s", f.Do)
	}
}

// clients returns what decides how clients are made.
func (k *Kafka) clients() ingest.Config {
	return ingest.Config{Brokers: k.Brokers, Librdkafka: k.Librdkafka, MaxRecord: int(k.MaxRecord)}
}

// tryClients makes librdkafka's clients if a command asks for it and nothing is wrong so far.
func (c *collector) tryClients(k *Kafka) {
	if !c.clients || len(k.Librdkafka) == 0 || c.hasUnder("kafka") {
		return
	}
	for _, f := range ingest.TryClients(k.clients()) {
		path := "kafka.librdkafka"
		if f.Property != "" {
			path += "." + f.Property
		}
		c.add(path, f.Msg, "%s", f.Do)
	}
}
