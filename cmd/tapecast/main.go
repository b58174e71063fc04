package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tapecast/server"
	"tapecast/server/config"
	"tapecast/server/logging"
)

// env is what a command takes from its process.
type env struct {
	name    string // as it was called, for commands that users paste
	environ []string
	stdout  io.Writer
	stderr  io.Writer
	signals <-chan os.Signal
	exit    func(code int) // ends the process at once

	queues []*logging.Queue // in front of stdout and stderr after unblock was called
}

// lastWords is how long the process waits at its end for the reader of its output.
const lastWords = time.Second

// unblock makes a server's output non-blocking. A reader that stalls costs lines. A reader
// that has ended does not end the process, as SIGPIPE would.
func (e *env) unblock() {
	signal.Ignore(syscall.SIGPIPE)
	out, errs := logging.NewQueue(e.stdout), logging.NewQueue(e.stderr)
	e.stdout, e.stderr = out, errs
	e.queues = append(e.queues, errs, out)
	log.SetOutput(errs) // what libraries log
}

// flush writes what is queued, within lastWords.
func (e *env) flush() {
	end := time.Now().Add(lastWords)
	for _, q := range e.queues {
		q.Close(time.Until(end))
	}
}

// unlessTold runs a function that reads files, which may block for ever, or returns with a signal.
func (e *env) unlessTold(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case s := <-e.signals:
		return exitCode(128 + signalNumber(s))
	}
}

// exitCode is an error whose text has been printed: only the code is left.
type exitCode int

// Error returns the code as text.
func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

func main() {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	os.Exit(execute(&env{
		name: os.Args[0], environ: os.Environ(),
		stdout: os.Stdout, stderr: os.Stderr,
		signals: signals, exit: os.Exit,
	}, os.Args[1:]))
}

// execute runs one command line and returns the process's exit code.
func execute(e *env, args []string) int {
	defer e.flush()
	root := &cobra.Command{
		Use:   "tapecast",
		Short: "Pushes Kafka topics to trading clients over WebSocket",
		Long: `tapecast takes Kafka topics and delivers them to trading clients over WebSocket.
Without a configuration, "tapecast run" starts a demo that needs nothing else.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	root.SetArgs(args)
	addGroup(root, "serve", "Serve clients:", runCommand(e), checkCommand(e))
	addGroup(root, "try", "Try it as a client:", tokenCommand(e), watchCommand(e), tailCommand(e))
	addGroup(root, "other", "Other:", versionCommand(e))
	root.SetHelpCommandGroupID("other")
	root.AddCommand(echoCommand(e))
	err := root.ExecuteContext(context.Background())
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintln(e.stderr, "tapecast:", err)
	return 1
}

// addGroup adds commands to the root, and lists them under a title in its help.
func addGroup(root *cobra.Command, id, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: id, Title: title})
	for _, c := range commands {
		c.GroupID = id
	}
	root.AddCommand(commands...)
}

func versionCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version and the Go that built it",
		Args:  cobra.NoArgs,
		Run:   func(*cobra.Command, []string) { fmt.Fprintln(e.stdout, "tapecast", version()) },
	}
}

func version() string {
	v, goVersion := server.Version()
	return v + " (" + goVersion + ")"
}

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
