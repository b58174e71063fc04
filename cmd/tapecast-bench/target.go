package main

import (
	"io"

	"github.com/spf13/cobra"

	"tapecast/bench"
	"tapecast/bench/job"
)

// targetFlags are the flags that every measurement has.
type targetFlags struct {
	url, ca, admin      string
	adminToken, adminCA string
	direct              bool
	brokers             []string
	topic               string
	secret, secretFile  string
	ed25519Key, token   string
	sources             string
	agents              []string
	agentKeyFile        string
	speech              job.Speech
	publish, apiKey     string
	json, quiet         bool

	warn io.Writer // for warnings, also with --quiet
}

func (t *targetFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	t.warn = warnings{cmd}
	f.StringVar(&t.url, "target", "ws://127.0.0.1:8080/ws", "the gateway's public `URL`")
	f.StringVar(&t.ca, "ca", "", "`file` of the certificates to trust, for a wss:// target (default: the system's)")
	f.StringVar(&t.admin, "admin", "",
		"`URL` of the gateway's internal port (default: port 8081 of the target's host); pid:N names a process of a "+
			"server without such metrics")
	f.StringVar(&t.adminToken, "admin-token-file", "",
		"`file` with the token that the internal port needs for --direct and --gc")
	f.StringVar(&t.adminCA, "admin-ca", "",
		"`file` of the certificates to trust, for an https:// --admin (default: those of --ca)")
	f.StringVar(&t.secret, "secret", "",
		"HS256 `key` that signs the clients' tokens (default, on this machine: the demo's)")
	f.StringVar(&t.secretFile, "secret-file", "", "`file` that holds the HS256 key")
	f.StringVar(&t.ed25519Key, "ed25519-key", "",
		"PEM `file` with the Ed25519 private key that signs the clients' tokens")
	f.StringVar(&t.token, "token", "", "one `token` for all clients, which are one user then")
	f.StringVar(&t.sources, "sources", "",
		"`addresses` to connect from, like 127.0.0.2-127.0.0.9 (default: these, on loopback)")
	f.StringSliceVar(&t.agents, "agents", nil,
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
	f.BoolVar(&t.direct, "direct", false,
		"publish past Kafka, through the gateway's append endpoint (needs tapecast run --direct)")
	f.StringSliceVar(&t.brokers, "brokers", nil,
		"publish to Kafka: `host:port`, … (default, on this machine: the demo's broker)")
	f.StringVar(&t.topic, "topic", t.topic, "the `topic` to publish to")
}

// addSpeech adds the flags for servers other than the gateway.
func (t *targetFlags) addSpeech(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.speech.Protocol, "protocol", job.Tapecast,
		"what the server speaks: `tapecast`, centrifuge, nats or plain")
	f.StringArrayVar(&t.speech.Say, "say", nil,
		"plain: a `text` that a client sends after connecting; {user} and {room} are filled in")
	f.StringVar(&t.speech.Until, "until", "",
		"plain: a `text` in the message that admits a client (default: it is in at once)")
	f.StringVar(&t.speech.After, "after", "",
		"plain: the `text` right before the value in a message (default: the first thing that looks like a value)")
	f.StringVar(&t.publish, "publish", "",
		"publish to another server: nats://HOST:PORT, or `URL` of a Centrifugo's HTTP API")
	f.StringVar(&t.apiKey, "api-key", "", "that API's `key`")
}

func (t *targetFlags) target() (bench.Target, error) {
	keys, err := job.LoadKeys(t.secret, t.secretFile, t.ed25519Key, t.token)
	if err != nil {
		return bench.Target{}, err
	}
	adminToken, err := readKey("--admin-token-file", t.adminToken)
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
	to := bench.Target{
		URL: t.url, Agents: agents, CA: t.ca, Admin: t.admin, AdminToken: adminToken, AdminCA: t.adminCA,
		Keys: keys, Sources: sources,
		Direct: t.direct, Brokers: t.brokers, Topic: t.topic,
		Speech: t.speech, Publish: t.publish, APIKey: t.apiKey, Warn: t.warn,
	}
	to.FromDemo()
	return to, nil
}

// log returns where progress goes.
func (t *targetFlags) log(cmd *cobra.Command) io.Writer {
	if t.quiet {
		return nil
	}
	return bench.NewProgress(cmd.ErrOrStderr())
}
