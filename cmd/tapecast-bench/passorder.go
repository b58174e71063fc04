package main

import (
	"context"

	"tapecast/bench"

	"github.com/spf13/cobra"
)

func passorderCommand() *cobra.Command {
	var t targetFlags
	var c bench.PassOrderConfig
	cmd := measuring(&cobra.Command{
		Use:     "passorder",
		Short:   "Test whether chance decides which member gets a message first and last",
		Example: `  tapecast-bench passorder --secret-file key --direct --clients 200 --messages 1000 --rate 20`,
	}, &t, &c.Target, &c.Log, func(ctx context.Context) (*bench.PassOrderResult, error) {
		return bench.PassOrder(ctx, c)
	})
	t.addPublishing(cmd)
	f := cmd.Flags()
	f.IntVar(&c.Clients, "clients", 200, "`number` of members")
	f.StringVar(&c.Room, "room", "prices", "the `room` of the members")
	f.Float64Var(&c.Rate, "rate", 20, "`messages` a second; low, so that no two overlap")
	f.Int64Var(&c.Messages, "messages", 1000, "`number` of messages")
	f.IntVar(&c.Size, "size", 128, "`bytes` of a message's value")
	f.BoolVar(&c.Bare, "bare", false, "expect bare values, as of a room with envelope: none")
	return cmd
}
