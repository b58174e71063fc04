package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// small has for each subcommand with a target the flags of a short run, the flags that ask for
// more clients than descriptors, and the error that these get.
var small = map[string]struct{ args, many, told string }{
	"fanout":    {"--clients 5", "--clients 10000000", "use --procs"},
	"keyed":     {"--clients 4 --group 2", "--clients 10000000", "use --procs"},
	"private":   {"--clients 5", "--clients 10000000", "use --procs"},
	"mixed":     {"--clients 5 --symbols 5 --each 2", "--clients 10000000", "use --procs"},
	"slow":      {"--clients 5 --stalled 1 --slow 1", "--stalled 10000000", "ask for fewer"},
	"churn":     {"--clients 5 --leaves 1", "--clients 10000000", "use --procs"},
	"storm":     {"--clients 5 --jitter 0", "--clients 10000000", "use --procs"},
	"soak":      {"--clients 5 --every 1s --duration 4s", "--clients 10000000", "use --procs"},
	"replay":    {"--clients 5 --loop --duration 2s", "--loop --clients 10000000", "use --procs"},
	"ramp":      {"--clients 5 --rates 1,2", "--client-steps 5,10000000", "use --procs"},
	"idle":      {"--steps 1,2 --settle 1ms", "--steps 1,10000000", "use --procs"},
	"handshake": {"--count 2 --settle 1ms", "--count 10000000 --batch 10000000", "ask for fewer"},
	"passorder": {"--clients 2 --messages 10", "--clients 1000000 --messages 5000000", "arrival times"},
	"abuse":     {"--clients 5 --duration 1s", "--clients 10000000", "use --procs"},
	"resumes": {"--brokers 127.0.0.1:1 --records 10 --least 1 --most 2 --count 1", "--brokers x --greedy 1000000",
		"at most 1000 and 16"},
	"observe":   {"--clients 5 --duration 1s", "--clients 10000000", "use --procs"},
	"calibrate": {"--clients 1000 --window 2s", "--clients 10000000", "use --procs"},
}

// Every subcommand with a target reports bad input in one line, and ends with code 2.
func TestTargetBadInput(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	to := theGateway(t)
	recording := aRecording(t)
	for _, cmd := range newRoot(nil, nil, nil).Commands() {
		if cmd.Flags().Lookup("target") == nil {
			continue
		}
		own, known := small[cmd.Name()]
		if !known {
			t.Errorf("%s has a target: what it refuses is not tested here", cmd.Name())
			continue
		}
		t.Run(cmd.Name(), func(t *testing.T) {
			t.Parallel()
			args := append([]string{cmd.Name()}, slices.DeleteFunc(slices.Clone(to), func(f string) bool {
				return f == "--direct" && cmd.Flags().Lookup("direct") == nil
			})...)
			if cmd.Name() == "replay" {
				args = append(args, "--file", recording)
			}
			f := func(want string, more ...string) {
				t.Helper()
				out, code, err := run(t, append(slices.Clone(args), more...)...)
				if code != exitInput || err == nil || !strings.Contains(err.Error(), want) ||
					strings.Contains(err.Error(), "\n") || out != "" {
					t.Errorf("%s %v: code %d, %v; want %q", cmd.Name(), more, code, err, want)
				}
			}
			f(own.told, strings.Fields(own.many)...)
			args = append(args, strings.Fields(own.args)...)
			f("127.0.0.1:1: connection refused", "--target", "ws://127.0.0.1:1/ws")
			f("with --admin)", "--admin", "http://127.0.0.1:1")
			f("not ws://HOST:PORT", "--target", "http://127.0.0.1:1")
			f("token's signature is wrong (-32002); see --secret", "--secret",
				"not the key of this gateway, though as long as it")
			f("give --secret", "--secret", "")
			agents := "cannot reach agent 127.0.0.1:1"
			if cmd.Name() == "abuse" || cmd.Name() == "resumes" { // all of it is on one machine
				agents = "leave --protocol"
			}
			f(agents, "--agents", "127.0.0.1:1")
			if cmd.Flags().Lookup("out") != nil {
				f("--out: ", "--out", "/no/such/directory/x.json")
			}
		})
	}
}

// A file of another version is reported with the version that is read.
func TestVersions(t *testing.T) {
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "a.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	f := func(want string, args ...string) {
		t.Helper()
		_, code, err := run(t, args...)
		if code != exitInput || err == nil || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: code %d, %v; want %q", args, code, err, want)
		}
	}
	old, odd := write(`{"version": 77, "model": "of another shape", "legs": "too"}`), write("what is this?")
	f("has version 77 of result files", "compare", old, old)
	f("is not a result file", "compare", odd, odd)
	f("has version 77 of calibrations", "plan", "--calibration", old)
	f("is not a calibration", "plan", "--calibration", odd)
	f("no such file", "plan", "--calibration", "/does/not/exist.json")
	f("has version 77 of calibrations", "calibrate", "--check", old)
	f("is not a calibration", "calibrate", "--check", odd)
	f("no such file", "calibrate", "--check", "/does/not/exist.json")

	calibration := filepath.Join("..", "..", "bench", "calibration.json")
	f("(give its internal port with --metrics)", "plan", "--calibration", calibration, "--metrics",
		"http://127.0.0.1:1")
	f("--metrics: ", "plan", "--calibration", calibration, "--metrics", "/does/not/exist")
	f("--listen", "agent", "--listen", "nowhere")
	f("--key-file", "agent", "--key-file", "/does/not/exist")
}
