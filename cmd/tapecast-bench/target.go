package main

import (
	"io"

	"tapecast/bench"

	"github.com/spf13/cobra"
)

// targetFlags are those that every measurement has.
type targetFlags struct {
	url, ca, admin     string
	direct             bool
	brokers            []string
	topic              string
	secret, secretFile string
	ed25519Key, token  string
	sources            string
	agents             []string
	agentKeyFile       string
	json, quiet        bool
}

func (t *targetFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.url, "target", "ws://127.0.0.1:8080/ws", "the gateway's public `URL`")
	f.StringVar(&t.ca, "ca", "", "`file` of the certificates to trust, for a wss:// target (default: the system's)")
	f.StringVar(&t.admin, "admin", "", "`URL` of the gateway's internal port (default: port 8081 of the target's host)")
	f.StringVar(&t.secret, "secret", "", "HS256 `key` that signs the clients' tokens")
	f.StringVar(&t.secretFile, "secret-file", "", "`file` that holds the HS256 key")
	f.StringVar(&t.ed25519Key, "ed25519-key", "", "PEM `file` with the Ed25519 private key that signs the clients' tokens")
	f.StringVar(&t.token, "token", "", "one `token` for all clients, who are then one user")
	f.StringVar(&t.sources, "sources", "", "`addresses` to connect from, like 127.0.0.2-127.0.0.9 (default: these, on loopback)")
	f.StringSliceVar(&t.agents, "agents", nil, "`host:port` of tapecast-bench agent on each machine that clients shall run on (default: they run here)")
	f.StringVar(&t.agentKeyFile, "agent-key-file", "", "`file` with the key that the agents ask for")
	f.BoolVar(&t.json, "json", false, "print the result as JSON")
	f.BoolVar(&t.quiet, "quiet", false, "tell no progress")
}

func (t *targetFlags) addPublishing(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&t.direct, "direct", false, "publish past Kafka, through the gateway's append endpoint (run --direct)")
	f.StringSliceVar(&t.brokers, "brokers", nil, "publish to Kafka: `host:port`, …")
	f.StringVar(&t.topic, "topic", t.topic, "the `topic` to publish to")
}

func (t *targetFlags) target() (bench.Target, error) {
	keys, err := bench.LoadKeys(t.secret, t.secretFile, t.ed25519Key, t.token)
	if err != nil {
		return bench.Target{}, err
	}
	sources, err := bench.ParseSources(t.sources)
	if err != nil {
		return bench.Target{}, err
	}
	agents, err := agentsOf(t.agents, t.agentKeyFile)
	if err != nil {
		return bench.Target{}, err
	}
	return bench.Target{
		URL: t.url, Agents: agents, CA: t.ca, Admin: t.admin, Keys: keys, Sources: sources,
		Direct: t.direct, Brokers: t.brokers, Topic: t.topic,
	}, nil
}

// log is where progress goes.
func (t *targetFlags) log(cmd *cobra.Command) io.Writer {
	if t.quiet {
		return nil
	}
	return bench.NewProgress(cmd.ErrOrStderr())
}
