package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"tapecast/server"
	"tapecast/server/config"
	"tapecast/server/logging"
)

func echoCommand(e *env) *cobra.Command {
	var listen, max string
	c := &cobra.Command{
		Use:    "echo",
		Short:  "Echo messages through the gateway's engine, for conformance suites",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			e.unblock()
			size, err := config.ParseSize(max)
			if err != nil {
				return fmt.Errorf("--max-message: %w", err)
			}
			log, _ := logging.New(e.stderr, slog.LevelInfo, "")
			echo, err := server.NewEcho(listen, size, log)
			if err != nil {
				return err
			}
			if err := echo.Start(); err != nil {
				return err
			}
			fmt.Fprintf(e.stdout, "echo on ws://%s/\n", echo.Addr())
			<-e.signals
			return echo.Stop()
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:9001", "`host:port` to listen on")
	// Autobahn's longest message has 16 MiB.
	c.Flags().StringVar(&max, "max-message", "64MiB", "longest `size` of a message; a longer one is closed with 1009")
	return c
}
