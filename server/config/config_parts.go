package config

// Ingest routes records to rooms.
type Ingest struct {
	// Routes lists the routes. Every route that fits a record applies. Default none, or in the demo
	// those of its market.
	Routes []Route `koanf:"routes"`
	// Unmatched says what happens to records that fit no route's match. ignore (default) counts
	// them. dead_letter also sends them to kafka.dead_letter.
	Unmatched string `koanf:"unmatched"`
	// Market feeds the embedded broker from the generated market. Default true.
	Market bool `koanf:"market"`
}

// Keyframe is a condition for records that need no earlier records, such as full order books. A
// client that joins or lags starts at the newest one.
type Keyframe struct {
	// Field names the field of the value, such as e. Default "": no record is a keyframe.
	Field string `koanf:"field"`
	// Equals is the value of that field in a keyframe, such as depthSnapshot.
	Equals string `koanf:"equals"`
}

// Route sends the records of a topic to rooms (route.Route).
type Route struct {
	Topic string `koanf:"topic"`
	// Match are conditions, path to glob ("portfolio.*"); all must hold. Default none.
	Match map[string]string `koanf:"match"`
	// Rooms are the names of the rooms, with fields.
	Rooms []string `koanf:"rooms"`
	// Key is the envelope's key, with fields. Default "": none.
	Key string `koanf:"key"`
	// KeyFormat is how producers write keys: utf8 (default), int32, int64, hex or base64.
	KeyFormat string `koanf:"key_format"`
	// Type is the envelope's type, with fields, 256 bytes at most. Default "": the topic's name.
	Type string `koanf:"type"`
	// Keyframe recognizes full order books.
	Keyframe Keyframe `koanf:"keyframe"`
	// Payload is the path of the nested value that becomes data. Default "": the whole value.
	Payload string `koanf:"payload"`
	// Envelope none sends bare values. Default "".
	Envelope string `koanf:"envelope"`
	// Format is json (default) or, with envelope none, binary.
	Format string `koanf:"format"`
	// Partitioner is how the producers choose a key's partition (murmur2, consistent_random, …). It
	// is only checked. Default "": not checked.
	Partitioner string `koanf:"partitioner"`
	// Tombstones says that the topic contains records without a value. Default false.
	Tombstones bool `koanf:"tombstones"`
}

// Admin is the internal port: health, metrics and the rest.
type Admin struct {
	// Listen is the internal host:port. Whoever reaches it can read. Default 127.0.0.1:8081.
	Listen string `koanf:"listen"`
	// Hosts are the names, without port, that the internal port answers to, besides literal
	// addresses and localhost. This stops a web page that reaches the port by a name of its own
	// (DNS rebinding). Default none.
	Hosts []string `koanf:"hosts"`
	// Probes is a host:port for /livez, /readyz, /health and /metrics alone, without TLS, so that
	// Listen can stay on loopback. Default none.
	Probes string `koanf:"probes"`
	// Write serves requests that write, POST /publish and Direct. It needs TokenFile. Default false.
	Write bool `koanf:"write"`
	// TokenFile holds the bearer token, of 32 characters or more, for requests that write and for
	// pprof. SIGHUP reads it again. Default none.
	TokenFile string   `koanf:"token_file"`
	TLS       AdminTLS `koanf:"tls"`
	// Pprof serves /debug/pprof/, which needs the token if TokenFile is set. Default false.
	Pprof bool `koanf:"pprof"`
	// Direct serves POST /debug/append, past Kafka, for measurements. It needs Write. Default false.
	Direct bool `koanf:"direct"`
}

// AdminTLS makes the internal port https, and https only. The port of Probes stays plain.
type AdminTLS struct {
	// CertFile holds the certificate in PEM, then those that lead to a root. SIGHUP
	// reads it and KeyFile again. Default none: the port is http.
	CertFile string `koanf:"cert_file"`
	// KeyFile holds its private key in PEM.
	KeyFile string `koanf:"key_file"`
	// MinVersion is the oldest version spoken: 1.2 (default) or 1.3.
	MinVersion string `koanf:"min_version"`
}
