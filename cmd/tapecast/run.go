package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tapecast/server"
	"tapecast/server/auth"
	"tapecast/server/config"
	"tapecast/server/logging"
)

// grace is what a stop may take beyond the drain time, for last closes, consumers and the admin port.
const grace = 10 * time.Second

func runCommand(e *env) *cobra.Command {
	var file, profile string
	c := &cobra.Command{
		Use:   "run",
		Short: "Serve clients with what comes from Kafka",
		Long: `Run serves clients over WebSocket with what comes from Kafka. Without
kafka.brokers it starts an embedded broker and a generated market, so that
everything can be tried with nothing else installed.

SIGINT or SIGTERM stops the gateway: it is no longer ready, waits for
server.drain_delay, closes the port, and closes its clients over the drain time.
A second signal ends it at once. SIGHUP reads these again: the log level, the
keys of auth and what must hold of tokens, auth.redis, the certificates, versions
and cipher suites of server.tls and admin.tls, the token of admin.token_file,
limits.tiers with the limits that a tier may set, and who may join what (allow,
anonymous, auth.services). The log names what else has changed.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			e.unblock()
			if profile != "" {
				stop, err := cpuProfile(profile)
				if err != nil {
					return err
				}
				defer stop()
			}
			shortSlices()
			return run(e, c.Flags(), e.configFile(file))
		},
	}
	f := c.Flags()
	f.StringVar(&file, "config", "", "configuration `file` (YAML; default $TAPECAST_CONFIG)")
	f.String("listen", "", "public `host:port` (server.listen, default 127.0.0.1:8080)")
	f.String("admin", "", "internal `host:port` (admin.listen, default 127.0.0.1:8081)")
	f.String("log-level", "", "least `level` to log: debug, info, warn or error (log.level, default info)")
	f.Bool("direct", false, "let tapecast-bench append past Kafka, for measurements: serve "+
		"POST /debug/append (admin.direct; needs admin.write and admin.token_file)")
	f.StringVar(&profile, "cpuprofile", "", "write a CPU profile to `file`")
	_ = f.MarkHidden("cpuprofile") // fails only for unknown flags
	return c
}

func cpuProfile(file string) (stop func(), err error) {
	f, err := os.Create(file)
	if err != nil {
		return nil, fmt.Errorf("cannot write the profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot profile: %w", err)
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}

// gateway is a gateway that was made from its configuration, and not started.
type gateway struct {
	e     *env
	flags *pflag.FlagSet
	file  string // of the configuration; "": none
	cfg   *config.Config
	log   *slog.Logger
	level *slog.LevelVar
	srv   *server.Server
	kept  demoFiles
}

// run runs a gateway until a signal ends it. Files may be on a disk that hangs, or be
// pipes. A signal does not wait until they are read.
func run(e *env, flags *pflag.FlagSet, file string) error {
	g := &gateway{e: e, flags: flags, file: file}
	var made atomic.Bool // other goroutines may use g
	stopping, done, hangups := make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)
	defer close(done)
	go obey(e, done, stopping, hangups, func(s os.Signal) {
		if made.Load() {
			g.log.Info("stopping; a second signal ends at once", "signal", s.String(), "drain", g.cfg.Server.Drain)
		}
	})
	ready := make(chan error, 1)
	go func() {
		err := g.make()
		made.Store(err == nil)
		ready <- err
	}()
	select {
	case <-stopping:
		fmt.Fprintln(e.stderr, "tapecast: stopped before it was up")
		return nil
	case err := <-ready:
		if err != nil {
			return err
		}
	}
	go func() { // it reads files: a disk that hangs delays no signal
		for {
			select {
			case <-done:
				return
			case <-hangups:
				g.reload()
			}
		}
	}()
	return g.serve(stopping)
}

// make reads the configuration and makes the gateway.
func (g *gateway) make() (err error) {
	if g.cfg, err = load(g.e, g.file, g.flags); err != nil {
		return report(g.e, err)
	}
	if g.kept.key, err = demoKey(g.cfg); err != nil {
		return err
	}
	var writes error
	g.kept.token, writes = demoWrites(g.cfg, g.file)
	g.log, g.level = logging.New(g.e.stderr, g.cfg.Log.SlogLevel(), g.cfg.Log.Format)
	g.log.Info("starting", "version", version(), "config", cmp.Or(g.file, "built-in"),
		"summary", g.cfg.Summary(), "pid", os.Getpid())
	if g.kept.key != "" {
		g.log.Warn("no key is configured: tokens are checked with the demo's", "key", g.kept.key)
	}
	if writes != nil {
		g.log.Warn("publishing by the internal port is disabled", "error", writes)
	}
	for _, w := range g.cfg.Warnings() {
		g.log.Warn("configuration: " + w)
	}
	g.srv, err = server.New(g.cfg, g.log)
	return err
}

func (g *gateway) reload() {
	fresh, err := load(g.e, g.file, g.flags)
	if err != nil {
		g.log.Error("cannot reload: the configuration has faults", "error", err)
		return
	}
	g.srv.ReopenLogs()
	g.level.Set(fresh.Log.SlogLevel())
	g.log.Info("log level reloaded", "level", fresh.Log.Level)
	reload := func(err error, what string) {
		if err != nil {
			g.log.Error("cannot reload "+what, "error", err)
		}
	}
	reload(g.srv.ReloadCertificate(fresh), "all of server.tls: what has a fault stays as it was")
	reload(g.srv.ReloadKeys(fresh), "all of auth: what has a fault stays as it was")
	reload(g.srv.ReloadTiers(fresh), "the tiers: the old ones stay")
	reload(g.srv.ReloadRights(fresh), "who may join what: the old rules stay")
	if _, err = demoWrites(fresh, g.file); err == nil {
		err = g.srv.ReloadAdmin(fresh)
	}
	reload(err, "the files of admin.tls and admin.token_file: the old ones stay")
	if keys := g.srv.NeedRestart(fresh); len(keys) > 0 {
		g.log.Warn("the configuration has changed in what SIGHUP does not take: restart the gateway for these",
			"keys", strings.Join(keys, ", "))
	}
}

// serve starts the gateway, and drains it when it must stop.
func (g *gateway) serve(stopping <-chan struct{}) error {
	if stopped, err := start(g.srv, stopping); stopped || err != nil {
		return err
	}
	addProcessors(g.cfg) // after the loops were counted by the machine's processors
	if g.cfg.Demo() {
		if g.file == "" {
			defer g.keepBroker()()
		}
		welcome(g.e, g.cfg, g.srv.Listen().String(), g.srv.AdminAddr().String(), g.kept)
	}
	<-stopping
	s := &g.cfg.Server
	ctx, cancel := context.WithTimeout(context.Background(), s.DrainDelay+s.Drain+grace)
	defer cancel()
	return g.srv.Shutdown(ctx)
}

// obey does what signals ask, until done. The first signal to stop closes stopping, and a
// second one ends the process. It acts before it logs, and does nothing that could block.
func obey(e *env, done <-chan struct{}, stopping chan<- struct{}, hangups chan<- struct{}, say func(os.Signal)) {
	first := true
	for {
		select {
		case <-done:
			return
		case s := <-e.signals:
			switch {
			case s == syscall.SIGHUP:
				select {
				case hangups <- struct{}{}:
				default: // one is waiting already
				}
			case first:
				first = false
				close(stopping)
				say(s)
			default:
				e.exit(128 + signalNumber(s))
			}
		}
	}
}

// addProcessors gives the runtime processors beyond those of the machine, one for each loop
// and consumer. A loop sends with raw system calls, and a consumer waits in C. The scheduler
// gets such a processor back only every 10 ms, and other goroutines would wait that long
// (orders beside a busy room: p99 17 ms; with this 4 ms). A GOMAXPROCS in the environment
// is not changed.
func addProcessors(cfg *config.Config) {
	if os.Getenv("GOMAXPROCS") != "" {
		return
	}
	n := runtime.GOMAXPROCS(0)
	loops := cfg.Server.Loops
	if loops <= 0 {
		loops = max(1, n/2)
	}
	runtime.GOMAXPROCS(n + loops + max(1, cfg.Kafka.Consumers))
}

// start starts the gateway. stopped: a signal came before it was up, and it is down again.
func start(srv *server.Server, stopping <-chan struct{}) (stopped bool, err error) {
	// Services may live by ctx: once the gateway is up, nothing cancels it.
	ctx, cancel := context.WithCancel(context.Background())
	up := make(chan struct{})
	go func() {
		select {
		case <-stopping:
			cancel()
		case <-up: // from here on a stop is a drain
		}
	}()
	err = srv.Start(ctx)
	close(up)
	if err == nil {
		return false, nil
	}
	stopped = ctx.Err() != nil
	cancel()
	if cerr := srv.Close(); cerr != nil || !stopped {
		return stopped, errors.Join(err, cerr)
	}
	return true, nil
}

func signalNumber(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return int(n)
	}
	return int(syscall.SIGKILL)
}

// keepBroker writes the address of the demo's broker to a file, until forget is called.
// Without the file, benches must be given the broker.
func (g *gateway) keepBroker() (forget func()) {
	forget, err := auth.KeepDemoBroker(g.srv.Listen().String(), g.srv.EmbeddedBrokers())
	if err != nil {
		g.log.Warn("tapecast-bench cannot find the demo's broker", "error", err)
		return func() {}
	}
	return forget
}

// demoFiles says where the demo keeps what it made for itself; "": it is configured.
type demoFiles struct {
	key   string // in words, since it may be in no file
	token string // the file with the internal port's token
}

// welcome prints what to open and to try, for a user who has only this program.
func welcome(e *env, cfg *config.Config, public, admin string, kept demoFiles) {
	const user, ttl = "42", 24 * time.Hour
	url, internal := publicURL(cfg, public), "http://"+local(admin)
	if cfg.Admin.TLS.CertFile != "" {
		internal = "https://" + local(admin)
	}
	fmt.Fprintf(e.stdout, `
tapecast is up, with an embedded broker and a generated market in Kafka's place.

  clients     %[1]s
  internal    %[2]s/health  /readyz  /metrics  /connections
  to read     %[2]s/docs/guide/  /docs/  /docs/asyncapi
`, url, internal)
	token, err := auth.MintToken(cfg, user, ttl, false)
	if err != nil { // a public key alone signs no tokens
		fmt.Fprintf(e.stdout, "\nNo token for a demo user: %s.\n\n", err)
		return
	}
	if kept.key == "" {
		kept.key = "the configured key"
	}
	fmt.Fprintf(e.stdout, `
A token of user %[1]s, good for %[2]s, signed with %[3]s:

%[4]s

Watch what that user gets:

%[5]s watch --url %[6]s --token %[4]s

`, user, "a day", kept.key, token, e.name, url)
	if kept.token != "" {
		fmt.Fprintf(e.stdout, `Send everybody an alert:

curl %s/publish -H "Authorization: Bearer $(cat '%s')" \
  -d '{"topic":"events","value":{"metadata":{"eventType":"system.alert"},"data":{"text":"hello"}}}'

`, internal, kept.token)
	}
	fmt.Fprint(e.stdout, "Ctrl-C stops it.\n\n")
}
