package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func checkCommand(e *env) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "check",
		Short: "Name everything that is wrong with a configuration",
		Long: `Check reads a configuration as run does: the file, the TAPECAST_ variables of
the environment, the built-in defaults. It names every fault at once, with its
line or variable, its key, and what to do, and exits with 1; or it says that
there is none.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return e.unlessTold(func() error {
				cfg, err := load(e, file, c.Flags())
				if err != nil {
					return report(e, err)
				}
				for _, w := range cfg.Warnings() {
					fmt.Fprintln(e.stderr, "warning:", w)
				}
				fmt.Fprintln(e.stdout, "configuration ok:", cfg.Summary())
				return nil
			})
		},
	}
	c.Flags().StringVar(&file, "config", "", "configuration `file` (YAML; default $TAPECAST_CONFIG)")
	return c
}
