package main

import (
	"tapecast/bench"

	"github.com/spf13/cobra"
)

func passorderCommand() *cobra.Command {
	var t targetFlags
	var c bench.PassOrderConfig
	cmd := &cobra.Command{
		Use:     "passorder",
		Short:   "Test whether chance decides which member gets a message first and last",
		Example: `  tapecast-bench passorder --secret-file key --direct --clients 200 --messages 1000 --rate 20`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if c.Target, err = t.target(); err != nil {
				return err
			}
			c.Log = t.log(cmd)
			res, err := bench.PassOrder(cmd.Context(), c)
			if res == nil {
				return err
			}
			return report(cmd, t.json, res, err)
		},
	}
	t.add(cmd)
	t.addPublishing(cmd)
	f := cmd.Flags()
	f.String("out", "", "also write the result as JSON to `file`")
	f.IntVar(&c.Clients, "clients", 200, "`number` of members")
	f.StringVar(&c.Room, "room", "prices", "the `room` of the members")
	f.Float64Var(&c.Rate, "rate", 20, "`messages` a second; low, so that no two overlap")
	f.Int64Var(&c.Messages, "messages", 1000, "`number` of messages")
	f.IntVar(&c.Size, "size", 128, "`bytes` of a message's value")
	f.BoolVar(&c.Bare, "bare", false, "expect bare values, as of a room with envelope: none")
	return cmd
}
