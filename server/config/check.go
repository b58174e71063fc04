package config

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tapecast/server/logging"
)

// reserved is how many descriptors clients cannot have: those of epoll sets, listeners, the admin
// port's connections, librdkafka's sockets (one for each broker and consumer) and files.
const reserved = 256

// maxWildcards is the most wildcards that a connection can number.
const maxWildcards = 255

// maxMessage is the most that server.max_message may be.
const maxMessage = 1 << 20

// check finds faults that the types of the values do not show. Each part checks its own section. A
// value that was refused already has its default here.
func (c *collector) check(cfg *Config) {
	c.checkServer(cfg)
	c.checkTLS(&cfg.Server.TLS)
	c.checkClientTLS(cfg)
	c.checkAdmin(cfg)
	c.checkProxy(&cfg.Server.Proxy)
	c.checkLog(&cfg.Log)
	c.checkAuth(cfg)
	c.checkLimits(cfg)
	c.checkKafka(&cfg.Kafka)
	c.checkClasses(cfg)
	c.checkRooms(cfg)
}

func (c *collector) checkServer(cfg *Config) {
	s := &cfg.Server
	c.hostPort("server.listen", s.Listen)
	if !strings.HasPrefix(s.Path, "/") || strings.ContainsAny(s.Path, "?# \t") {
		c.add("server.path", fmt.Sprintf("%q is not a path", s.Path), "write one that begins with a slash, such as /ws")
	}
	switch p := s.Stream; {
	case p == "":
	case !strings.HasPrefix(p, "/") || strings.HasSuffix(p, "/") || strings.ContainsAny(p, "?# \t%"):
		c.add("server.stream", fmt.Sprintf("%q is not a path", p),
			"write one that begins with a slash and does not end with one, such as /stream, or nothing for no streams")
	case p == s.Path || strings.HasPrefix(s.Path, p+"/"):
		c.add("server.stream", fmt.Sprintf("%q has server.path in it", p), "write another path, such as /stream")
	}
	c.atLeast("server.max_head", s.MaxHead, 1<<10, "browsers send nearly as much")
	if s.MaxHead > 64<<10 {
		c.add("server.max_head", s.MaxHead.String()+" is more than 64KiB",
			"write less: every socket that is not upgraded may hold that much")
	}
	c.atLeast("server.max_message", s.MaxMessage, 1<<10, "a client could not even send a token")
	if s.MaxMessage > maxMessage {
		c.add("server.max_message", s.MaxMessage.String()+" is more than "+Size(maxMessage).String(),
			"write less: every connection may hold that much, and parsing takes 50 times that")
	}
	for _, d := range []struct {
		key string
		d   time.Duration
	}{
		{"server.handshake_timeout", s.HandshakeTimeout}, {"server.ping_every", s.PingEvery},
		{"server.pong_timeout", s.PongTimeout}, {"auth.timeout", cfg.Auth.Timeout},
		{"kafka.metadata_every", cfg.Kafka.MetadataEvery},
	} {
		if d.d < 100*time.Millisecond && !c.has(d.key) {
			c.add(d.key, d.d.String()+" is less than 100ms", "write more, or remove the line for the default")
		}
	}
	c.atLeast("memory.tapes", cfg.Memory.Tapes, 1<<20, "rooms could keep nothing")
	if n := cfg.Memory.LastValues; n > 0 {
		c.atLeast("memory.last_values", n, 1<<20, "rooms could not remember their newest messages")
	}
	c.atLeast("memory.incoming", cfg.Memory.Incoming, 4*min(s.MaxMessage, maxMessage),
		"it is to hold a few messages of server.max_message")
	c.atLeast("kafka.recall_memory", cfg.Kafka.RecallMemory, 1<<20, "nothing could be read again")
	c.atLeast("kafka.max_record", cfg.Kafka.MaxRecord, 1, "no record would be delivered")
}

func (c *collector) atLeast(path string, s, least Size, why string) {
	if s < least {
		c.add(path, fmt.Sprintf("%s is too small: %s", s, why),
			"write %s or more, or remove the line for the default", least)
	}
}

func (c *collector) hostPort(path, addr string) {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		c.add(path, fmt.Sprintf("%q is not a host:port", addr),
			"write one such as 127.0.0.1:8080, or 0.0.0.0:8080 for all IPv4 addresses, [::]:8080 for all")
	}
}

func (c *collector) checkLog(l *Log) {
	c.oneOf("log.level", l.Level, "debug", "info", "warn", "error")
	c.oneOf("log.format", l.Format, "auto", "text", "json")
	if l.Security != "" && l.Security != "stderr" {
		if err := logging.CanOpenSecurity(l.Security); err != nil {
			c.add("log.security", fmt.Sprintf("cannot open %s: %s", l.Security, reason(err)),
				"name a file that this user can write, in a directory that is there")
		}
	}
}

// SlogLevel returns Level as a slog.Level. An unknown level is info.
func (cfg Log) SlogLevel() slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(cfg.Level)); err != nil {
		return slog.LevelInfo
	}
	return l
}

func (c *collector) oneOf(path, value string, known ...string) {
	if slices.Contains(known, value) {
		return
	}
	do := "use one of " + strings.Join(known, ", ")
	if n := nearest(value, known); n != "" {
		do = fmt.Sprintf("did you mean %s? (known: %s)", n, strings.Join(known, ", "))
	}
	c.add(path, fmt.Sprintf("%q is unknown", value), "%s", do)
}

func (c *collector) checkAuth(cfg *Config) {
	for path, k := range cfg.Auth.allKeys() {
		_, _, err := k.read()
		if text := strings.TrimSuffix(path, "_file"); c.isSet(text) {
			path = text
		}
		if err == nil || c.hasUnder(path) {
			continue
		}
		do := "make one with: openssl rand -base64 32"
		switch {
		case k.PublicKey != "" && k.Secret == "":
			do = "make one with: openssl genpkey -algorithm ed25519 -out private.pem; " +
				"openssl pkey -in private.pem -pubout"
		case k.Secret == "" || k.PublicKey != "":
			do = ""
		}
		c.add(path, err.Error(), "%s", do)
	}
	c.checkJWKS(&cfg.Auth)
	c.checkVerify(&cfg.Auth)
	c.checkRedis(&cfg.Auth)
	c.checkOrigins(&cfg.Auth)
	c.checkUsers(&cfg.Auth)
	c.checkRevocations(cfg)
	c.checkCertificate(cfg)
	if !cfg.Demo() && !cfg.HasKey() && !cfg.Auth.Certificate.On() && !c.hasUnder("auth") {
		c.addAt(c.source("kafka.brokers"), "auth", "kafka.brokers is set, but no key to check tokens with",
			"set auth.secret, auth.secret_file, auth.public_key, auth.public_key_file, auth.keys, "+
				"auth.jwks_url or auth.verify.url")
	}
}

func (c *collector) hasUnder(section string) bool {
	return slices.ContainsFunc(c.faults, func(f Fault) bool { return within(f.Key, section) })
}

func (c *collector) checkLimits(cfg *Config) {
	l := &cfg.Limits
	limit := descriptorLimit()
	if free := max(0, limit-reserved); l.Connections > free {
		c.add("limits.connections",
			fmt.Sprintf("%d connections do not fit into the descriptor limit of %d", l.Connections, limit),
			"raise that to %d (ulimit -n, or LimitNOFILE=), or set at most %d", l.Connections+reserved, free)
	}
	if free := max(0, limit-reserved-l.Connections); l.HalfOpen > free {
		c.add("limits.half_open",
			fmt.Sprintf("%d half-open sockets do not fit into the descriptor limit of %d", l.HalfOpen, limit),
			"set at most %d, or raise that limit (ulimit -n, or LimitNOFILE=)", free)
	}
	if l.HalfOpenPerAddress > cfg.MaxHalfOpen() {
		c.add("limits.half_open_per_address",
			fmt.Sprintf("%d can never be reached: of all addresses %d are kept",
				l.HalfOpenPerAddress, cfg.MaxHalfOpen()),
			"set %d or less, or limits.half_open to more", cfg.MaxHalfOpen())
	}
	if l.Connections == 0 && cfg.MaxConnections() == 0 && !c.has("limits.half_open") {
		c.add("limits.connections", fmt.Sprintf("the descriptor limit of %d leaves none for clients", limit),
			"raise it (ulimit -n, or LimitNOFILE=)")
	}
	c.checkTiers(cfg)
}

// descriptorLimit returns how many descriptors this process may have open. The Go runtime has
// raised the soft limit to the hard one.
func descriptorLimit() int {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil || r.Cur > 1<<30 {
		return 1 << 30
	}
	return int(r.Cur)
}

// MaxConnections returns limits.connections, or what the descriptor limit leaves.
func (cfg *Config) MaxConnections() int {
	if n := cfg.Limits.Connections; n > 0 {
		return n
	}
	return max(0, descriptorLimit()-reserved-cfg.MaxHalfOpen())
}

const (
	// halfOpen is how many silent sockets are kept if there are descriptors for them.
	halfOpen = 8192
	// leastHalfOpen is how many are kept otherwise. They are part of the reserved descriptors.
	leastHalfOpen = 32
)

// MaxHalfOpen returns the most sockets that have not been upgraded: limits.half_open, or what the
// descriptor limit leaves beside limits.connections.
func (cfg *Config) MaxHalfOpen() int {
	if n := cfg.Limits.HalfOpen; n > 0 {
		return n
	}
	free := descriptorLimit() - reserved - cfg.Limits.Connections
	if cfg.Limits.Connections == 0 {
		free /= 8
	}
	return min(halfOpen, max(leastHalfOpen, free))
}

// EarlyMessage returns the longest message of a client that is not authenticated. A token fits.
func (s *Server) EarlyMessage() int { return int(min(s.MaxMessage, 64<<10)) }

// LastValues returns the most bytes that all last values hold together: memory.last_values, or half
// of what both have by default. With a smaller memory.tapes it is at most twice that.
func (cfg *Config) LastValues() Size {
	if n := cfg.Memory.LastValues; n > 0 {
		return n
	}
	return min(512<<20, cfg.Memory.Tapes)
}

// Demo reports whether the embedded broker is used instead of Kafka.
func (cfg *Config) Demo() bool { return len(cfg.Kafka.Brokers) == 0 }

// HasKey reports whether some key is set to check tokens with, or a service that does.
func (cfg *Config) HasKey() bool { return cfg.Auth.signed() || cfg.Auth.Verify.URL != "" }
