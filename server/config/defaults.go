package config

import "time"

// Default returns the built-in configuration, which is that of `tapecast run`
// without a file: the embedded broker, the demo market, no key to check tokens
// with (DemoSecret has one). The caller owns it.
func Default() *Config {
	return &Config{
		Server: Server{
			Listen:           "127.0.0.1:8080",
			Path:             "/ws",
			Stream:           "/stream",
			Drain:            20 * time.Second,
			NotSentLowat:     128 << 10,
			MaxHead:          16 << 10,
			MaxMessage:       256 << 10,
			HandshakeTimeout: 10 * time.Second,
			PingEvery:        25 * time.Second,
			PongTimeout:      60 * time.Second,
			Proxy:            Proxy{HTTP: ProxyHTTP{Header: "X-Forwarded-For"}},
			TLS:              TLS{PortTLS: defaultTLS, ClientAuth: "none", Handshakes: 256, Waiting: 4096},
		},
		Admin: Admin{Listen: "127.0.0.1:8081", TLS: defaultTLS},
		Log:   Log{Level: "info", Format: "auto"},
		Auth: Auth{
			QueryToken:     true,
			RequiredClaims: map[string]string{},
			Services:       Conditions{},
			Certificate:    Certificate{Claims: map[string]string{}},
			JWKSRefresh:    5 * time.Minute,
			Leeway:         30 * time.Second,
			Verify:         Verify{Timeout: MaxVerifyTimeout},
			Redis:          Redis{Timeout: 100 * time.Millisecond},
			Timeout:        10 * time.Second,
		},
		Limits: Limits{
			Tier: Tier{
				EmptyRooms:         1000,
				RecallBytes:        256 << 20,
				ConnectionsPerUser: 100,
				MessagesPerSecond:  50,
				Burst:              100,
				RequestCost:        500,
				RequestBurst:       5000,
				SnapshotBytes:      64 << 20,
				UserBudgets:        4,
				RoomsPerConnection: 1024, RoomsPerUser: 20_000,
				WildcardsPerConnection: 8, RoomsPerWildcard: 1000,
			},
			Pending:            10_000,
			BadTokensPerSecond: 100,
			Claim:              "tier", Tiers: map[string]Tier{},
		},
		Kafka: Kafka{
			Start:         "end",
			RequireTopics: "any",
			MetadataEvery: 5 * time.Second,
			MaxRecord:     1 << 20,
			LookBack:      10 * time.Minute,
			RecallMemory:  256 << 20,
		},
		Memory:  Memory{Tapes: 512 << 20, Incoming: 64 << 20},
		Classes: defaultClasses(),
		Rooms:   defaultRooms(),
		AutoJoin: []string{"prices", "trades", "system_alerts", "user:{sub}", "portfolio:{sub}", "orders:{sub}",
			"notifications:{sub}"},
		Allow:     map[string]Conditions{},
		Anonymous: Anonymous{Connections: 10_000, ConnectionsPerAddress: 100},
		Ingest:    Ingest{Market: true, Unmatched: "ignore"},
	}
}

var defaultTLS = PortTLS{MinVersion: "1.2", Policy: "default"}

// defaultClasses is the table of classes that every deployment starts from.
func defaultClasses() map[string]Class {
	recent := Retain{Bytes: 8 << 20, Age: 10 * time.Second}
	// Long enough for a client to come back from a lost node and resume.
	resumable := Retain{Bytes: 8 << 20, Age: 30 * time.Second}
	return map[string]Class{
		"market": {Conflate: true, Snapshot: true, Retain: recent, Lag: "skip", MaxKeys: 20_000,
			KeyTTL: 24 * time.Hour},
		"stream": {Retain: recent, Lag: "skip"},
		"book":   {Retain: recent, Lag: "skip"},
		// Alerts are few and matter for long. No client may miss one without a notice.
		"alert":   {Retain: Retain{Bytes: 8 << 20, Age: 24 * time.Hour}, Lag: "close"},
		"private": {Owner: "{sub}", Retain: resumable, Lag: "close"},
		"state": {Owner: "{sub}", Snapshot: true, Retain: resumable, Lag: "close", MaxKeys: 20_000,
			KeyTTL: 24 * time.Hour},
	}
}

func benchRooms() Room { return Room{Match: "keyed:*", Class: "stream", MaxRooms: 20_000} }

func defaultRooms() []Room {
	// The most symbols that we have seen on one venue is a few thousand. The bound stops bad fields
	// from creating rooms without end.
	const symbols = 20_000
	return []Room{
		{Match: "prices", Class: "market"},
		{Match: "prices:*", Class: "market", MaxRooms: symbols},
		{Match: "trades", Class: "stream"},
		{Match: "trades:*", Class: "stream", MaxRooms: symbols},
		{Match: "book:*", Class: "book", MaxRooms: symbols},
		{Match: "system_alerts", Class: "alert"},
		{Match: "user:{owner}", Class: "private"},
		{Match: "portfolio:{owner}", Class: "state"},
		{Match: "orders:{owner}", Class: "private"},
		{Match: "notifications:{owner}", Class: "private"},
	}
}
