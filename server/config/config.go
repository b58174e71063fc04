package config

import "time"

// Config is everything that an operator may set. The koanf tags are the keys of the file. Keys and
// variables are checked against the tree of this struct, so a field that is added here is known
// everywhere. A Config is not changed once the server has it.
type Config struct {
	Server Server `koanf:"server"`
	Admin  Admin  `koanf:"admin"`
	Log    Log    `koanf:"log"`
	Auth   Auth   `koanf:"auth"`
	Limits Limits `koanf:"limits"`
	Kafka  Kafka  `koanf:"kafka"`
	Memory Memory `koanf:"memory"`

	// Classes are room policies by name. The six built-in ones may be changed key by key.
	Classes map[string]Class `koanf:"classes"`
	// Rooms maps patterns to classes. A room that fits none is unknown.
	Rooms []Room `koanf:"rooms"`
	// AutoJoin names the rooms joined on authentication, as one step. One of these may stand in a name:
	// {sub} for the user, {claims.NAME} for the one value of a claim, or {claims.NAME[]} for each value
	// of a list or word of a text, which makes as many rooms. A user without the claim has none of them.
	AutoJoin []string `koanf:"auto_join"`
	// Allow narrows down who may join what: by a room (desk:1) or a wildcard ("desk:*"), what the
	// claims of a token must be ({role: desk}). Somebody who fulfils one of the entries that match a
	// room may join it. A private room must be one's own besides. SIGHUP reads it again. Default none.
	Allow map[string]Conditions `koanf:"allow"`

	Anonymous Anonymous `koanf:"anonymous"`

	Ingest Ingest `koanf:"ingest"`

	odd []string // warnings of Load: see Warnings
}

// Server is the public port and the engine behind it.
type Server struct {
	// Listen is the public host:port. Default 127.0.0.1:8080; port 0: the kernel chooses.
	Listen string `koanf:"listen"`
	// Path is the one path that is upgraded. Default /ws.
	Path string `koanf:"path"`
	// Stream is the path of streams of server-sent events, for clients that cannot have WebSocket: POST
	// it, or GET a room under it. Default /stream; empty: there are none.
	Stream string `koanf:"stream"`
	// Drain is the time over which a stopping node spreads its closes. Default 20s.
	Drain time.Duration `koanf:"drain"`
	// DrainDelay is how long a stopping node still takes clients, until balancers notice. Default 0s.
	DrainDelay time.Duration `koanf:"drain_delay"`

	// Loops is the number of event loops. Default 0: half of the CPUs, at least one.
	Loops int `koanf:"loops"`
	// Pollers is the number of nbio pollers. Default 0: a quarter of the CPUs, at least one.
	Pollers int `koanf:"pollers"`
	// Shards is the number of room table shards, one appender each. Default 0: one per CPU.
	Shards int `koanf:"shards"`

	// SendBuffer is SO_SNDBUF of each connection. Default 0: the kernel's, which grows to megabytes.
	SendBuffer Size `koanf:"send_buffer"`
	// NotSentLowat is TCP_NOTSENT_LOWAT of each connection: what the kernel holds unsent for a slow
	// client. Default 128KiB, which is what one visit sends at most; 0: no bound.
	NotSentLowat Size `koanf:"notsent_lowat"`
	// MaxHead is the longest upgrade request, headers included; over it: 431. Default 16KiB.
	MaxHead Size `koanf:"max_head"`
	// MaxMessage is the longest message of an authenticated client; others may send 64KiB or less
	// (EarlyMessage). Over it: close 1009. Default 256KiB; 1MiB at most.
	MaxMessage Size `koanf:"max_message"`

	// HandshakeTimeout is the time a client has to send its upgrade request. Default 10s.
	HandshakeTimeout time.Duration `koanf:"handshake_timeout"`
	// PingEvery is the time between two pings of a client, or `positions` notices. Default 25s.
	PingEvery time.Duration `koanf:"ping_every"`
	// PongTimeout is how long after a WebSocket ping a client that has sent nothing counts as dead.
	// Only clients without positions get those; TCP finds the others. Default 60s.
	PongTimeout time.Duration `koanf:"pong_timeout"`

	TLS   TLS   `koanf:"tls"`
	Proxy Proxy `koanf:"proxy"`
}

// Proxy is the balancer in front of the public port, if there is one.
type Proxy struct {
	// Trusted are the addresses and networks (10.0.0.7, 10.1.0.0/16) of balancers. Each of their
	// connections must begin with a PROXY protocol header, version 1 or 2, ahead of TLS. A header
	// from any other address is a bad request. Default none.
	Trusted []string  `koanf:"trusted"`
	HTTP    ProxyHTTP `koanf:"http"`
}

// ProxyHTTP is a proxy that speaks HTTP, if there is one.
type ProxyHTTP struct {
	// Trusted are the addresses and networks of such proxies. Their requests count for the last
	// address in Header that is not one of them. Default none.
	Trusted []string `koanf:"trusted"`
	// Header is the field to which they add the address that a request came from: X-Forwarded-For
	// (default), or Forwarded (RFC 7239). The other one is never looked at.
	Header string `koanf:"header"`
}

// TLS makes the public port wss, and wss only.
type TLS struct {
	PortTLS `koanf:",squash"`
	// ClientAuth is whether clients are asked for a certificate: none (default), optional, or
	// required. One that is not good ends the handshake.
	ClientAuth string `koanf:"client_auth"`
	// ClientCAFile holds the certificates in PEM that those of clients must lead to. SIGHUP reads it
	// again. Default none.
	ClientCAFile string `koanf:"client_ca_file"`
	// Handshakes is how many handshakes are computed at a time. Others wait. Default 256.
	Handshakes int `koanf:"handshakes"`
	// Waiting is how many handshakes may wait for their clients, some 24 KB each. Default 4096.
	Waiting int `koanf:"waiting"`
}

// Log says how to log.
type Log struct {
	// Level is the least level logged: debug, info (default), warn, error.
	Level string `koanf:"level"`
	// Security is the file for security events (logging.Security). SIGHUP opens it again. "stderr"
	// puts the lines into the log. Default "": none.
	Security string `koanf:"security"`
	// Format is auto (default: text on a terminal, JSON elsewhere), text or json.
	Format string `koanf:"format"`
}

// Limits bounds what clients may take. What 0 means is in each comment.
type Limits struct {
	// Tier holds those that a row of Tiers may set. A token that names none has these.
	Tier `koanf:",squash"`

	// Connections is the most upgraded connections at a time; over it: 503. Default 0:
	// what the descriptor limit leaves (Config.MaxConnections).
	Connections int `koanf:"connections"`
	// ConnectionsPerAddress is the most sockets of one address (IPv6: one /64); over it: 503, or in
	// a storm a reset. Default 0: no limit, since behind a proxy all clients share one address.
	ConnectionsPerAddress int `koanf:"connections_per_address"`
	// ConnectsPerSecond is how many clients may come a second over a longer time, and ten times as
	// many at once; over it: 503. Default 0: no limit.
	ConnectsPerSecond float64 `koanf:"connects_per_second"`
	// ConnectsPerAddress is the same for one address (IPv6: one /64); over it: 429. Default 0: no
	// limit, since many clients of a lost node may come from few addresses.
	ConnectsPerAddress float64 `koanf:"connects_per_address"`
	// HalfOpen is the most sockets that have not been upgraded, beside Connections. Default 0: 8192,
	// or what the descriptor limit leaves (Config.MaxHalfOpen).
	HalfOpen int `koanf:"half_open"`
	// HalfOpenPerAddress is the most of these sockets of one address. Default 0: no limit.
	HalfOpenPerAddress int `koanf:"half_open_per_address"`
	// Pending is the most connections at a time that have yet to authenticate. Over it the oldest
	// of the address that has the most is closed with 4129. Default 10000; 0: no limit.
	Pending int `koanf:"pending"`
	// BadTokensPerSecond is how many bad tokens from one address are checked a second over a longer
	// time, and ten times as many at once. Default 100; 0: no limit.
	BadTokensPerSecond float64 `koanf:"bad_tokens_per_second"`
	// Claim is the claim of a token that names the account's tier. Default tier.
	Claim string `koanf:"claim"`
	// Tiers are rows of limits by name. SIGHUP reads them again. Default none.
	Tiers map[string]Tier `koanf:"tiers"`
	// TiersTopic is a compacted topic of such rows, which go before those of Tiers. It is read whole before
	// the node is ready, and followed. Default "": there is none.
	TiersTopic string `koanf:"tiers_topic"`
}

// Kafka is the cluster to read from. Without brokers there is an embedded one with a market.
type Kafka struct {
	// Brokers are host:port. Default none: the embedded broker.
	Brokers []string `koanf:"brokers"`
	// Start is where reading begins: end (default), beginning, or a time back, such as 30s.
	Start string `koanf:"start"`
	// Consumers is the number of librdkafka consumers that share the partitions. Default 0: one.
	Consumers int `koanf:"consumers"`
	// DeadLetter is the topic that refused records go to. Default "": none.
	DeadLetter string `koanf:"dead_letter"`
	// RequireTopics is which topics of the routes must exist before the node is ready: any (default:
	// one is enough) or all.
	RequireTopics string `koanf:"require_topics"`
	// MetadataEvery is the time between two looks at the topics. Default 5s.
	MetadataEvery time.Duration `koanf:"metadata_every"`
	// MaxRecord is the longest value that is delivered; longer ones are refused. Default 1MiB.
	MaxRecord Size `koanf:"max_record"`
	// LookBack is how far back a topic that feeds rooms with last values is read at the start, if it
	// is not compacted: such a one is read from its beginning. Default 10m; 0s: both from Start.
	LookBack time.Duration `koanf:"look_back"`
	// RecallMemory bounds the records that are read again for clients that resume from further back
	// than memory holds. The frames made of these records may take as much again. Default 256MiB.
	RecallMemory Size `koanf:"recall_memory"`
	// SASLPasswordFile holds librdkafka's sasl.password.
	SASLPasswordFile string `koanf:"sasl_password_file"`
	// Librdkafka passes through to librdkafka, by its own names (sasl.username, …).
	Librdkafka map[string]string `koanf:"librdkafka"`
}

// Memory bounds memory.
type Memory struct {
	// Tapes is the most bytes of all tapes. The last second may take as much again. Default 512MiB.
	Tapes Size `koanf:"tapes"`
	// LastValues is the most bytes that all last values hold together. Beyond that the oldest are
	// forgotten, those of rooms without members first. Default 0: 512MiB, or Tapes if that is less.
	LastValues Size `koanf:"last_values"`
	// Incoming is the most bytes that incomplete messages of all clients take together. Over it one
	// of these clients is closed with 1013. Default 64MiB.
	Incoming Size `koanf:"incoming"`
}

// Class is a room policy.
type Class struct {
	// Conflate delivers the newest value of each key to a member that lags. Default false.
	Conflate bool `koanf:"conflate"`
	// ConflateAfter is how far a member may lag before it is conflated, or in a room with keyframes
	// how many bytes before it continues at the newest one.
	ConflateAfter Lag `koanf:"conflate_after"`
	// Snapshot delivers the last value of each key on join. Default false.
	Snapshot bool   `koanf:"snapshot"`
	Retain   Retain `koanf:"retain"`
	// Lag says what happens to a member whose next messages the tape has dropped: skip (default)
	// sends it a gap notice, close closes it with 4208.
	Lag string `koanf:"lag"`
	// Owner makes rooms private. "{sub}": only the user {owner} may join. "{claims.NAME[]}": only users
	// whose claim NAME lists {owner}, or has it among its words; "{claims.NAME}": whose claim is
	// {owner}. Default "": public.
	Owner string `koanf:"owner"`
	// Keep keeps records of rooms without members here. Default false; always true if Owner is set.
	Keep bool `koanf:"keep"`
	// Compress sends frames deflated to clients that take them. Default false. Not for private classes.
	Compress bool `koanf:"compress"`
	// Interval is the least time between two sends to a member. Default 0s: at once.
	Interval time.Duration `koanf:"interval"`
	// MaxKeys bounds the keys of one room. Default 0: 20000.
	MaxKeys int `koanf:"max_keys"`
	// KeyTTL is how long a key without updates is kept. Default 0s: 24h.
	KeyTTL time.Duration `koanf:"key_ttl"`
}

// Lag is how much a member may lack: whichever limit is reached first.
type Lag struct {
	// Bytes of frames. Default 0: 256KiB.
	Bytes Size `koanf:"bytes"`
	// Age of the oldest frame. Default 0s: 1s.
	Age time.Duration `koanf:"age"`
}

// Retain says how much of a room's past is kept: whichever limit is reached first.
type Retain struct {
	// Bytes of frames. Default 0: 8MiB.
	Bytes Size `koanf:"bytes"`
	// Age of the oldest frame. Default 0s: 10s.
	Age time.Duration `koanf:"age"`
}

// Room maps the rooms that fit a pattern to a class.
type Room struct {
	// Match is a name (prices), or a prefix with a star (prices:*) or the owner (orders:{owner}).
	Match string `koanf:"match"`
	// Class is a key of classes.
	Class string `koanf:"class"`
	// MaxRooms bounds the rooms of the pattern. Default 0: 1000000.
	MaxRooms int `koanf:"max_rooms"`
}
