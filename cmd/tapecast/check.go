package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"tapecast/server/config"
)

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

With --connect it then fetches the keys of auth.jwks_url, and tries Kafka: each
broker, each topic that a route reads, and the dead-letter topic. It looks at what the user may do with them, and
whether all partitions can be read. It prints a line for each, within a minute,
and exits with 1 if something would not work. It writes nothing to Kafka.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return e.unlessTold(func() error { return check(e, c, file, connect) })
		},
	}
	c.Flags().StringVar(&file, "config", "", "configuration `file` (YAML; default $TAPECAST_CONFIG)")
	c.Flags().BoolVar(&connect, "connect", false, "also try auth.jwks_url and Kafka: brokers, topics and rights")
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
