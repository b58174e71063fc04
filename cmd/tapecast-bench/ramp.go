package main

import (
	"context"
	"time"

	"tapecast/bench"

	"github.com/spf13/cobra"
)

func rampCommand() *cobra.Command {
	t := targetFlags{Target: bench.Target{Topic: "market.trades"}}
	c := bench.RampConfig{Fanout: bench.FanoutConfig{Rooms: []string{"trades"}, Fields: aSymbol, Pace: time.Millisecond,
		Duration: 5 * time.Second}}
	var rates []float64
	cmd := measuring(&cobra.Command{
		Use:   "ramp",
		Short: "Raise the rate or the clients in steps, up to the first step that is not held",
		Example: `  tapecast-bench ramp --secret-file key --direct --clients 5000 --rates 50,100,200,400,800 --slo 100ms
  tapecast-bench ramp --secret-file key --direct --rate 20 --client-steps 1000,5000,10000,15000`,
	}, &t, &c.Fanout.Target, &c.Fanout.Log, func(ctx context.Context) (*bench.RampResult, error) {
		c.Rates = rates
		if len(c.Clients) == 0 && len(rates) == 0 {
			c.Rates = []float64{50, 100, 200, 400, 800}
		}
		return bench.Ramp(ctx, c)
	})
	t.addPublishing(cmd)
	f := cmd.Flags()
	addLoad(f, &c.Fanout)
	addValues(f, &c.Fanout)
	addRooms(f, &c.Fanout)
	f.Float64SliceVar(&rates, "rates", nil, "`messages` a second of each step (default 50,100,200,400,800)")
	f.IntSliceVar(&c.Clients, "client-steps", nil, "`clients` of each step, in place of --rates")
	f.DurationVar(&c.SLO, "slo", 250*time.Millisecond, "p99 of the latency that a step must hold")
	f.BoolVar(&c.All, "all", false, "go on after the knee")
	return cmd
}
