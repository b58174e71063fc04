package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tapecast/server/auth"
	"tapecast/server/config"
)

// flagKeys are the flags that set a key of the configuration.
var flagKeys = map[string]string{
	"listen":    "server.listen",
	"admin":     "admin.listen",
	"log-level": "log.level",
	"direct":    "admin.direct",
}

// configFile returns the file that --config names, or else TAPECAST_CONFIG; "": none.
func (e *env) configFile(flag string) string {
	if flag != "" {
		return flag
	}
	for _, v := range e.environ {
		if file, ok := strings.CutPrefix(v, config.EnvFile+"="); ok {
			return file
		}
	}
	return ""
}

func load(e *env, file string, flags *pflag.FlagSet) (*config.Config, error) {
	return config.Load(sources(e, file, flags))
}

// sources returns where the configuration of a command comes from.
func sources(e *env, file string, flags *pflag.FlagSet) config.Sources {
	src := config.Sources{File: e.configFile(file), Environ: e.environ}
	flags.Visit(func(f *pflag.Flag) {
		if key, ok := flagKeys[f.Name]; ok {
			src.Flags = append(src.Flags, config.Flag{Name: "--" + f.Name, Key: key, Text: f.Value.String()})
		}
	})
	return src
}

func report(e *env, err error) error {
	var faults config.Faults
	if !errors.As(err, &faults) {
		return err
	}
	fmt.Fprintln(e.stderr, faults)
	return faulty(e, "tapecast: the configuration has %d %s\n", len(faults))
}

// faulty prints how many faults something has. The format takes the number and the word.
func faulty(e *env, format string, n int) error {
	fmt.Fprintf(e.stderr, format, n, map[bool]string{true: "fault", false: "faults"}[n == 1])
	return exitCode(1)
}

// demoKey gives a demo without a key the user's own demo secret, and returns in words where
// it is kept; "": the configuration has a key.
func demoKey(cfg *config.Config) (kept string, err error) {
	if !cfg.Demo() || cfg.HasKey() {
		return "", nil
	}
	secret, file, err := auth.DemoSecret()
	if err != nil {
		return "", err
	}
	cfg.Auth.Secret = secret
	if file == "" {
		return "a random secret of this run", nil
	}
	return "the demo secret in " + file, nil
}

// demoWrites enables writes in a run without configuration, with a token that is kept
// beside the demo secret. It returns the token's file. "": writes stay disabled, or the
// configuration decides about them. They stay disabled if other machines reach the port.
func demoWrites(cfg *config.Config, file string) (kept string, err error) {
	if file != "" || !cfg.Demo() || cfg.Admin.TokenFile != "" || !config.OnLoopback(cfg.Admin.Listen) {
		return "", nil
	}
	kept, err = auth.DemoAdminToken()
	if err != nil || kept == "" {
		return "", err
	}
	cfg.Admin.TokenFile, cfg.Admin.Write = kept, true
	return kept, nil
}

func checkCommand(e *env) *cobra.Command {
	var file string
	var connect bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Name everything that is wrong with a configuration",
		Long: `Check reads a configuration as run does: the file, the TAPECAST_ variables of
the environment, and the built-in defaults. It names every fault at once, with
its line or variable, its key, and what to do, and exits with 1. If there is
none, it says so. It also makes the Kafka clients that run makes, since they
refuse some settings only then. It connects to nothing.

With --connect it then fetches the keys of auth.jwks_url, asks the service of
auth.verify without a token, stores and looks up a key in auth.redis, and tries
Kafka: each broker, each topic that a route reads, and the dead-letter topic. It
looks at what the user may do with them, and whether all partitions can be read.
It prints a line for each, within a minute, and exits with 1 if something would
not work. It writes nothing to Kafka.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return e.unlessTold(func() error { return check(e, c, file, connect) })
		},
	}
	c.Flags().StringVar(&file, "config", "", "configuration `file` (YAML; default $TAPECAST_CONFIG)")
	c.Flags().BoolVar(&connect, "connect", false,
		"also try auth.jwks_url, auth.verify, auth.redis, and Kafka: brokers, topics and rights")
	return c
}

func check(e *env, c *cobra.Command, file string, connect bool) error {
	src := sources(e, file, c.Flags())
	src.TryClients = true
	cfg, err := config.Load(src)
	if err != nil {
		return report(e, err)
	}
	for _, w := range cfg.Warnings() {
		fmt.Fprintln(e.stderr, "warning:", w)
	}
	fmt.Fprintln(e.stdout, "configuration ok:", cfg.Summary())
	if !connect {
		return nil
	}
	n := cfg.Connect(c.Context(), func(line string) { fmt.Fprintln(e.stdout, line) })
	if n == 0 {
		return nil
	}
	return faulty(e, "tapecast: what this configuration connects to has %d %s\n", n)
}
