package main

import (
	"context"
	"time"

	"tapecast/bench"

	"github.com/spf13/cobra"
)

func handshakeCommand() *cobra.Command {
	var t targetFlags
	var c bench.HandshakeConfig
	cmd := measuring(&cobra.Command{
		Use:   "handshake",
		Short: "Measure handshakes with new tokens: latency and CPU",
		Example: `  tapecast-bench handshake --secret-file key --count 10000
  tapecast-bench handshake --ed25519-key private.pem --count 10000`,
	}, &t, &c.Target, &c.Log, func(ctx context.Context) (*bench.HandshakeResult, error) {
		return bench.Handshake(ctx, c)
	})
	f := cmd.Flags()
	f.IntVar(&c.Count, "count", 5000, "`number` of handshakes")
	f.IntVar(&c.Batch, "batch", 5000, "`number` of connections that are open at a time")
	f.Float64Var(&c.Rate, "rate", 0, "`handshakes` a second (default: one after another)")
	f.DurationVar(&c.Settle, "settle", 2*time.Second, "how long to leave the gateway alone, to see its use at rest")
	return cmd
}
