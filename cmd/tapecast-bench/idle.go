package main

import (
	"context"
	"time"

	"tapecast/bench"

	"github.com/spf13/cobra"
)

func idleCommand() *cobra.Command {
	var t targetFlags
	var c bench.IdleConfig
	cmd := measuring(&cobra.Command{
		Use:     "idle",
		Short:   "Measure the memory of connections that have nothing to do",
		Example: `  tapecast-bench idle --secret-file key --steps 2000,6000,10000,14000,18000 --touch --direct`,
	}, &t, &c.Target, &c.Log, func(ctx context.Context) (*bench.IdleResult, error) { return bench.Idle(ctx, c) })
	t.addPublishing(cmd)
	f := cmd.Flags()
	f.IntSliceVar(&c.Steps, "steps", []int{2000, 6000, 10000, 14000, 18000},
		"`numbers` of clients at which memory is read")
	f.IntVar(&c.Procs, "procs", 1, "client `processes`")
	f.DurationVar(&c.Settle, "settle", 5*time.Second, "how long to leave connections alone before memory is read")
	f.BoolVar(&c.Touch, "touch", false, "first deliver a message to each private room")
	f.StringSliceVar(&c.TouchTopics, "touch-topics", nil,
		"the `topics` that feed those rooms, keyed by the user (Kafka)")
	f.BoolVar(&c.GC, "gc", false, "make the gateway collect garbage first (needs its admin.pprof)")
	return cmd
}
