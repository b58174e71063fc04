package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"tapecast/bench"
	"tapecast/bench/job"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

type result interface{ WriteText(io.Writer) error }

type charted interface {
	WriteHTML(io.Writer, bench.Header) error
}

// measuring makes a subcommand that runs a measurement by its config c, with the flags of its target and
// of its result. A run that returns no result has only an error.
func measuring[C any, R interface {
	comparable
	result
}](name string, t *targetFlags, c *C, to *bench.Target, log *io.Writer,
	run func(context.Context, C) (R, error)) *cobra.Command {
	cmd := command(name)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var err error
		if *to, err = t.target(); err != nil {
			return err
		}
		*log = t.log(cmd)
		var none R
		res, err := run(cmd.Context(), *c)
		if res == none {
			return err
		}
		return report(cmd, t.json, res, err)
	}
	t.add(cmd)
	cmd.Flags().String("out", "", "also write the result as JSON to `file`")
	return cmd
}

// report writes a result as text or JSON, and to the files of --out and --html. It also
// writes the result of a run whose verdict is an error, and returns that verdict.
func report(cmd *cobra.Command, asJSON bool, res result, verdict error) error {
	began, _ := cmd.Context().Value(beganKey{}).(time.Time)
	h := bench.NewHeader(commandLine(cmd), began)
	toJSON := func(w io.Writer) error { return bench.WriteJSON(w, h, res) }
	write := res.WriteText
	if asJSON {
		write = toJSON
	}
	err := write(cmd.OutOrStdout())
	if file, ferr := cmd.Flags().GetString("out"); ferr == nil && err == nil {
		err = writeFile(file, toJSON)
	}
	if file, ferr := cmd.Flags().GetString("html"); ferr == nil && err == nil {
		// Only commands whose result has a page have the flag.
		err = writeFile(file, func(w io.Writer) error { return res.(charted).WriteHTML(w, h) })
	}
	if verdict != nil {
		return verdict
	}
	return err
}

type beganKey struct{}

// begin notes when a command began, and checks that its files can be written, before it measures.
func begin(cmd *cobra.Command, _ []string) error {
	cmd.SetContext(context.WithValue(cmd.Context(), beganKey{}, time.Now()))
	for _, flag := range []string{"out", "html"} {
		file, err := cmd.Flags().GetString(flag)
		if err != nil || file == "" {
			continue
		}
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			return job.Inputf("--%s: %v", flag, err)
		}
		_ = f.Close() // nothing was written
	}
	return nil
}

// commandLine returns the command with its flags sorted, without secrets.
func commandLine(cmd *cobra.Command) []string {
	line := strings.Fields(cmd.CommandPath())
	cmd.Flags().Visit(func(f *pflag.Flag) {
		value := f.Value.String()
		if s, ok := f.Value.(pflag.SliceValue); ok {
			value = strings.Join(s.GetSlice(), ",")
		}
		if f.Name == "secret" || f.Name == "token" {
			value = "…"
		}
		line = append(line, "--"+f.Name+"="+value)
	})
	return append(line, cmd.Flags().Args()...)
}

// writeFile fills a file with write. The name "" means no file.
func writeFile(name string, write func(io.Writer) error) error {
	if name == "" {
		return nil
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = write(w)
	if ferr := w.Flush(); err == nil {
		err = ferr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", name, err)
	}
	return nil
}
