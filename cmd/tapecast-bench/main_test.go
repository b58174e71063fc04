package main

import (
	"bytes"
	"strings"
	"testing"
)

func run(t *testing.T, args ...string) (out string, code int, err error) {
	t.Helper()
	var o, e bytes.Buffer
	root := newRoot(strings.NewReader(""), &o, &e)
	root.SetArgs(args)
	if err = root.ExecuteContext(t.Context()); err != nil {
		code = exitCode(err)
	}
	return o.String(), code, err
}

// Bad input is one line and exit code 2.
func TestBadInput(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		_, code, err := run(t, args...)
		if code != exitInput || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: code %d, %v; want %q", args, code, err, want)
		}
	}
	f("unknown command", "bogus")
	f("unknown command", "fanout", "x")
	f("unknown flag", "fanout", "--bogus")
	f("invalid argument", "fanout", "--clients", "many")
	f("unknown flag: --html", "ramp", "--html", "x.html") // it has no page: reported before anything is measured
	f("--out: ", "ramp", "--out", "/no/such/directory/x.json")
	f("step 2: ", "ramp", "--rates", "1,2e9")
	f("keep one", "fanout", "--secret", "a", "--token", "b")
	f("--secret-file", "idle", "--secret-file", "/does/not/exist")
	f("not an IP address", "handshake", "--sources", "here")
	f("connection refused", "fanout", "--admin", "http://127.0.0.1:1")
	f("connection refused", "idle", "--admin", "http://127.0.0.1:1")
	f("connection refused", "handshake", "--admin", "http://127.0.0.1:1")
	f("connection refused", "passorder", "--direct", "--admin", "http://127.0.0.1:1")
	f("way to publish", "passorder")
	f("--kind \"kindness\" is not one of pings", "abuse", "--kind", "kindness")
	f("leave --hostile-token=false out", "abuse", "--kind", "toggle", "--hostile-token=false")
}

func TestHelpHidesWorkers(t *testing.T) {
	out, code, err := run(t)
	if err != nil || code != 0 || !strings.Contains(out, "fanout") || strings.Contains(out, "worker") {
		t.Fatalf("%d, %v\n%s", code, err, out)
	}
	for _, title := range []string{"Measure a gateway:", "Find its limits:", "Plan:", "Tools:"} {
		if !strings.Contains(out, title) {
			t.Errorf("the help has no group %q", title)
		}
	}
	if strings.Contains(out, "Additional Commands") {
		t.Errorf("a command stands in no group\n%s", out)
	}
}

// TestCommandTexts: each command that is shown has its words in commands.txt, and an example, and no
// words are left over.
func TestCommandTexts(t *testing.T) {
	shown := 0
	for _, c := range newRoot(nil, nil, nil).Commands() {
		if c.Hidden {
			continue
		}
		if shown++; c.Short == "" || !strings.HasPrefix(c.Example, "  ") || strings.Contains(c.Long, "{kinds}") {
			t.Errorf("%s: %q %q %q", c.Use, c.Short, c.Long, c.Example)
		}
	}
	if n := strings.Count("\n"+commandText, "\n# "); n != shown {
		t.Errorf("words of %d commands, and %d are shown", n, shown)
	}
}

// The hidden subcommands are the processes that the library starts.
func TestHiddenSubcommands(t *testing.T) {
	for _, name := range []string{"worker", "rawsend", "hostile", "sink"} {
		if _, code, err := run(t, name); code != exitInvalid || !strings.Contains(err.Error(), "cannot read the job") {
			t.Errorf("%s: %d, %v", name, code, err)
		}
	}
}
