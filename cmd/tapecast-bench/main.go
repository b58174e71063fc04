package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"tapecast/bench/hostile"
	"tapecast/bench/job"
	"tapecast/bench/rawsend"
	"tapecast/bench/worker"
)

const (
	exitInvalid = 1
	exitInput   = 2
	exitFault   = 3
)

func main() {
	// A publisher that wakes up needs one of Go's processors, not only one of the machine's.
	// Pinned to one core, it would wait for other work of this process there.
	runtime.GOMAXPROCS(max(4, runtime.GOMAXPROCS(0)))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newRoot(os.Stdin, os.Stdout, os.Stderr).ExecuteContext(ctx)
	if err != nil && ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "tapecast-bench: "+strings.ReplaceAll(err.Error(), "\n", " "))
		os.Exit(exitCode(err))
	}
}

func exitCode(err error) int {
	var input *job.InputError
	var fault *job.FaultError
	switch {
	case errors.As(err, &input):
		return exitInput
	case errors.As(err, &fault):
		return exitFault
	}
	return exitInvalid
}

func newRoot(in io.Reader, out, errOut io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "tapecast-bench",
		Short: "Load a tapecast gateway and measure what clients get",
		Long: "tapecast-bench loads a gateway with WebSocket clients and measures what they get and what it " +
			"costs.\n\n" +
			"Exit codes: 0 measured; 1 the bench was the bottleneck, or something broke; 2 bad input;\n" +
			"3 messages were lost, doubled, out of order or torn.",
		PersistentPreRunE: begin,
		SilenceUsage:      true,
		SilenceErrors:     true,
		Args:              noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return job.Inputf("%v", err) })
	root.CompletionOptions.DisableDefaultCmd = true
	for _, g := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"measure", "Measure a gateway:", []*cobra.Command{
			fanoutCommand(), keyedCommand(), privateCommand(), mixedCommand(), replayCommand(), observeCommand(),
			handshakeCommand(), passorderCommand(),
		}},
		{"limits", "Find its limits:", []*cobra.Command{
			rampCommand(), idleCommand(), slowCommand(), churnCommand(), stormCommand(), abuseCommand(),
			resumesCommand(), soakCommand(),
		}},
		{"plan", "Plan:", []*cobra.Command{calibrateCommand(), planCommand()}},
		{"tools", "Tools:", []*cobra.Command{runCommand(), compareCommand(), agentCommand(), linkCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.id
			root.AddCommand(c)
		}
	}
	root.SetHelpCommandGroupID("tools")
	hidden := func(name string, run func(io.Reader, io.Writer) error) {
		root.AddCommand(&cobra.Command{Use: name, Hidden: true, Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return run(cmd.InOrStdin(), cmd.OutOrStdout())
			}})
	}
	hidden("worker", worker.Run)
	hidden("rawsend", rawsend.Run)
	hidden("hostile", hostile.Run)
	hidden("sink", hostile.RunSink)
	return root
}

// commandText has the words of each command: its use in a line that begins with #, what it does, more
// of that, and after "Example:" how it is called.
//
//go:embed commands.txt
var commandText string

// command returns the command of that name, with its words. It takes flags only.
func command(name string) *cobra.Command {
	for _, text := range strings.Split("\n"+commandText, "\n# ")[1:] {
		use, text, _ := strings.Cut(text, "\n")
		if use != name && !strings.HasPrefix(use, name+" ") {
			continue
		}
		text, example, _ := strings.Cut(text, "\n\nExample:\n")
		short, long, _ := strings.Cut(text, "\n\n")
		return &cobra.Command{Use: use, Short: short, Long: strings.TrimSpace(long),
			Example: strings.TrimRight(example, "\n"), Args: noArgs}
	}
	panic("BUG: commands.txt has no command " + name)
}

func noArgs(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return job.Inputf("%v", err)
	}
	return nil
}
