package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tapecast/bench/link"
)

func linkCommand() *cobra.Command {
	c := link.Config{Name: "tapecast"}
	cmd := &cobra.Command{
		Use:   "link",
		Short: "Make a slow link between two network namespaces of this machine (as root)",
		Example: `  # 100 ms there and back, until Ctrl-C
  tapecast-bench link --delay 50ms &
  ip netns exec tapecast-near tapecast run --config gateway.yaml &   # listening on 10.77.0.1
  ip netns exec tapecast-far tapecast-bench fanout --target ws://10.77.0.1:8080/ws …`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return link.Serve(cmd.Context(), c, func() {
				fmt.Fprintf(cmd.OutOrStdout(), "%s-near has %s, %s-far has %s; %s each way\n", c.Name, link.Near,
					c.Name, link.Far, c.Delay)
			})
		},
	}
	f := cmd.Flags()
	f.DurationVar(&c.Delay, "delay", 50*time.Millisecond, "delay of a packet in each direction")
	f.StringVar(&c.Name, "name", c.Name, "`prefix` of the names of the namespaces")
	f.IntVar(&c.Queue, "queue", 0, "most `packets` under way in one direction; more are dropped (default 100,000)")
	return cmd
}
