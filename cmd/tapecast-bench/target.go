package main

import (
	"io"

	"github.com/spf13/cobra"

	"tapecast/bench"
	"tapecast/bench/job"
)

// targetFlags are the flags that every measurement has.
type targetFlags struct {
	bench.Target
	adminToken            string // the file
	secret, secretFile    string
	ed25519Key, token     string
	sources, agentKeyFile string
	json, quiet           bool
}

func (t *targetFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	t.Warn = warnings{cmd}
	f.StringVar(&t.URL, "target", "ws://127.0.0.1:8080/ws", "the gateway's public `URL`")
	f.StringVar(&t.CA, "ca", "", "`file` of the certificates to trust, for a wss:// target (default: the system's)")
	f.StringVar(&t.Admin, "admin", "",
		"`URL` of the gateway's internal port (default: port 8081 of the target's host); pid:N names a process of a "+
			"server without such metrics")
	f.StringVar(&t.adminToken, "admin-token-file", "",
		"`file` with the token that the internal port needs for --direct and --gc")
	f.StringVar(&t.AdminCA, "admin-ca", "",
		"`file` of the certificates to trust, for an https:// --admin (default: those of --ca)")
	f.StringVar(&t.secret, "secret", "",
		"HS256 `key` that signs the clients' tokens (default, on this machine: the demo's)")
	f.StringVar(&t.secretFile, "secret-file", "", "`file` that holds the HS256 key")
	f.StringVar(&t.ed25519Key, "ed25519-key", "",
		"PEM `file` with the Ed25519 private key that signs the clients' tokens")
	f.StringVar(&t.token, "token", "", "one `token` for all clients, which are one user then")
	f.StringVar(&t.sources, "sources", "",
		"`addresses` to connect from, like 127.0.0.2-127.0.0.9 (default: these, on loopback)")
	f.StringSliceVar(&t.Agents.Addrs, "agents", nil,
		"`host:port` of tapecast-bench agent on each machine that runs clients (default: they run here)")
	f.StringVar(&t.agentKeyFile, "agent-key-file", "", "`file` with the key of the agents")
	f.BoolVar(&t.json, "json", false, "print the result as JSON")
	f.BoolVar(&t.quiet, "quiet", false, "show no progress")
}

// warnings writes to the stream of a command's errors.
type warnings struct{ cmd *cobra.Command }

func (w warnings) Write(p []byte) (int, error) { return w.cmd.ErrOrStderr().Write(p) }

func (t *targetFlags) addPublishing(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&t.Direct, "direct", false,
		"publish past Kafka, through the gateway's append endpoint (needs tapecast run --direct)")
	f.StringSliceVar(&t.Brokers, "brokers", nil,
		"publish to Kafka: `host:port`, … (default, on this machine: the demo's broker)")
	f.StringVar(&t.Topic, "topic", t.Topic, "the `topic` to publish to")
}

// addSpeech adds the flags for servers other than the gateway.
func (t *targetFlags) addSpeech(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.Protocol, "protocol", job.Tapecast,
		"what the server speaks: `tapecast`, centrifuge, nats or plain")
	f.StringArrayVar(&t.Say, "say", nil,
		"plain: a `text` that a client sends after connecting; {user} and {room} are filled in")
	f.StringVar(&t.Until, "until", "",
		"plain: a `text` in the message that admits a client (default: it is in at once)")
	f.StringVar(&t.After, "after", "",
		"plain: the `text` right before the value in a message (default: the first thing that looks like a value)")
	f.StringVar(&t.Publish, "publish", "",
		"publish to another server: nats://HOST:PORT, or `URL` of a Centrifugo's HTTP API")
	f.StringVar(&t.APIKey, "api-key", "", "that API's `key`")
}

func (t *targetFlags) target() (to bench.Target, err error) {
	to = t.Target
	if to.Keys, err = job.LoadKeys(t.secret, t.secretFile, t.ed25519Key, t.token); err != nil {
		return to, err
	}
	if to.AdminToken, err = readKey("--admin-token-file", t.adminToken); err != nil {
		return to, err
	}
	if to.Sources, err = bench.ParseSources(t.sources); err != nil {
		return to, err
	}
	if to.Agents, err = agentsOf(t.Agents.Addrs, t.agentKeyFile); err != nil {
		return to, err
	}
	to.FromDemo()
	return to, nil
}

func (t *targetFlags) log(cmd *cobra.Command) io.Writer {
	if t.quiet {
		return nil
	}
	return bench.NewProgress(cmd.ErrOrStderr())
}
