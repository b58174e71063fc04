package config

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
	TokenFile string `koanf:"token_file"`
	// TLS makes the internal port https. The port of Probes stays plain.
	TLS PortTLS `koanf:"tls"`
	// Pprof serves /debug/pprof/, which needs the token if TokenFile is set. Default false.
	Pprof bool `koanf:"pprof"`
	// Direct serves POST /debug/append, past Kafka, for measurements. It needs Write. Default false.
	Direct bool `koanf:"direct"`
}

// PortTLS makes a port speak TLS, and TLS only.
type PortTLS struct {
	// CertFile holds the certificate in PEM, then those that lead to a root. SIGHUP reads it and
	// KeyFile again. Default none: the port is plain.
	CertFile string `koanf:"cert_file"`
	// KeyFile holds its private key in PEM.
	KeyFile string `koanf:"key_file"`
	// MinVersion is the oldest version spoken: 1.2 (default) or 1.3.
	MinVersion string `koanf:"min_version"`
	// Policy is which cipher suites are accepted: default (those that Go prefers), intermediate (TLS
	// 1.2 only with forward secrecy and authenticated encryption) or modern (TLS 1.3 only).
	Policy string `koanf:"policy"`
	// CipherSuites are those accepted for TLS 1.2, by their names in RFCs, instead of a policy. Those
	// of TLS 1.3 cannot be chosen. Default none: what Policy says.
	CipherSuites []string `koanf:"cipher_suites"`
}
