package main

import (
	"tapecast/bench"
	"tapecast/bench/job"

	"github.com/spf13/cobra"
)

func compareCommand() *cobra.Command {
	var html string
	cmd := &cobra.Command{
		Use:     "compare A.json B.json",
		Short:   "Compare two result files: each figure, the ratio and its spread",
		Example: `  tapecast-bench compare before.json after.json --html compared.html`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.ExactArgs(2)(cmd, args); err != nil {
				return job.Inputf("%v", err)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := bench.Compare(args[0], args[1])
			if err != nil {
				return err
			}
			if err := c.WriteText(cmd.OutOrStdout()); err != nil {
				return err
			}
			return writeFile(html, c.WriteHTML)
		},
	}
	cmd.Flags().StringVar(&html, "html", "", "also write the comparison as a page with charts to `file`")
	return cmd
}
