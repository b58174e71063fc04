package bench

import (
	"fmt"
	"os"
	"testing"

	"tapecast/bench/hostile"
	"tapecast/bench/rawsend"
	"tapecast/bench/worker"
)

// TestMain lets the test binary be the worker processes that the tests start.
func TestMain(m *testing.M) {
	run := map[string]func() error{
		"worker":  func() error { return worker.Run(os.Stdin, os.Stdout) },
		"rawsend": func() error { return rawsend.Run(os.Stdin, os.Stdout) },
		"hostile": func() error { return hostile.Run(os.Stdin, os.Stdout) },
		"sink":    func() error { return hostile.RunSink(os.Stdin, os.Stdout) },
	}
	if len(os.Args) == 2 && run[os.Args[1]] != nil {
		if err := run[os.Args[1]](); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) == 3 && os.Args[1] == "agent" {
		if err := runAgent(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}
