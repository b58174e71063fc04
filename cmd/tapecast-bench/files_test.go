package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tapecast/bench"
	"tapecast/bench/hostile"
	"tapecast/bench/job"
	"tapecast/bench/worker"
	"tapecast/rooms/testwait"
	"tapecast/server"
	"tapecast/server/config"
)

// TestMain lets the test binary be the client processes that the scenarios start.
func TestMain(m *testing.M) {
	run := map[string]func(io.Reader, io.Writer) error{
		"worker": worker.Run, "hostile": hostile.Run, "sink": hostile.RunSink,
	}
	if len(os.Args) == 2 && run[os.Args[1]] != nil {
		if err := run[os.Args[1]](os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(withoutDemo(m.Run))
}

// withoutDemo hides a demo of the user who runs the tests.
func withoutDemo(run func() int) int {
	dir, err := os.MkdirTemp("", "tapecast-bench-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	os.Setenv("XDG_CONFIG_HOME", dir)
	return run()
}

// theGateway runs a gateway with the configuration of the benchmarks, and returns the flags
// that lead to it.
func theGateway(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "bench", "gateway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return append(gatewayOf(t, text), "--direct", "--json", "--quiet")
}

// gatewayOf runs a gateway with a configuration, with its own keys and ports. It returns the
// flags that lead to it.
func gatewayOf(t *testing.T, text []byte) []string {
	t.Helper()
	const secret = "the key of a gateway that lives as long as a test"
	text = regexp.MustCompile(`(?m)^auth: .*$`).ReplaceAll(text, []byte(`auth: {secret: "`+secret+`"}`))
	dir := t.TempDir()
	file, token := filepath.Join(dir, "gateway.yaml"), filepath.Join(dir, "gateway.token")
	if err := os.WriteFile(token, []byte("the-admin-token-of-a-gateway-that-lives-as-long\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Sources{File: file, Flags: []config.Flag{
		{Name: "--listen", Key: "server.listen", Text: "127.0.0.1:0"},
		{Name: "--admin", Key: "admin.listen", Text: "127.0.0.1:0"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testwait.Patience)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return []string{
		"--target", "ws://" + srv.Listen().String() + "/ws", "--admin", "http://" + srv.AdminAddr().String(),
		"--secret", secret, "--admin-token-file", token,
	}
}

// Each file of bench/scenarios runs at a small scale against a gateway with
// bench/gateway.yaml, and every client gets its messages.
func TestScenarioFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	small := map[string][]string{
		"kafkorama.yaml":   {"--clients", "40", "--group", "10"},
		"trading-day.yaml": {"--clients", "30", "--symbols", "20", "--each", "3"},
		"replay.yaml":      {"--clients", "20", "--pace", "1", "--file", aRecording(t)},
		"abuse.yaml":       {"--clients", "20", "--hostile", "4", "--hostile-addresses", "2", "--paired=false"},
		"storm.yaml":       {"--clients", "20", "--at", "200ms", "--jitter", "0,500ms", "--rate", "50"},
	}
	files, err := filepath.Glob(filepath.Join("..", "..", "bench", "scenarios", "*.yaml"))
	if err != nil || len(files) != len(small) {
		t.Fatalf("%d files, %d known here: %v", len(files), len(small), err)
	}
	to := theGateway(t)
	for _, file := range files {
		args := append([]string{"run", file, "--duration", "2s", "--warmup", "200ms"},
			append(small[filepath.Base(file)], to...)...)
		out, _, err := run(t, args...)
		var late *job.InvalidError // a busy machine, which is not tested here
		if err != nil && !errors.As(err, &late) {
			t.Errorf("%s: %v", file, err)
			continue
		}
		var res bench.Result
		if err := json.NewDecoder(strings.NewReader(out)).Decode(&res); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if res.Version != 1 || len(res.Runs) == 0 {
			t.Errorf("%s: %s", file, out)
		}
		for _, g := range res.Runs {
			if g.Want == 0 || g.Unique != g.Want || len(g.Faults) > 0 {
				t.Errorf("%s, %s: %d of %d, %v", file, g.Name, g.Unique, g.Want, g.Faults)
			}
		}
	}
}

// aRecording returns a file with 50 trades of two seconds.
func aRecording(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for n := range 50 {
		fmt.Fprintf(&b, "%d\tspot.%c\t{\"e\":\"trade\",\"s\":\"%c\",\"t\":%d}\n",
			1_700_000_000_000_000_000+n*40_000_000, 'A'+n%3, 'A'+n%3, n)
	}
	file := filepath.Join(t.TempDir(), "recording.tsv")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
