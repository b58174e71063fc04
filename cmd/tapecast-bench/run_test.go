package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeScenario(t *testing.T, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "scenario.yaml")
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// The file sets flags, the command line overrides it, and lists don't add up.
func TestScenarioFlags(t *testing.T) {
	file := writeScenario(t,
		"scenario: fanout\nclients: 7\nrate: 2.5\nrooms: [a, b]\nduration: 3s\ncheck: true\nfields: "+
			"'\"a\":1,\"b\":2'\nbrokers: x:1,y:2\n")
	f := func(args string, want map[string]string) {
		t.Helper()
		sub, err := prepareScenario(newRoot(nil, nil, nil), file, strings.Fields(args))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range want {
			if got := sub.Flags().Lookup(name).Value.String(); sub.Name() != "fanout" || got != value {
				t.Errorf("%q: --%s is %q, not %q", args, name, got, value)
			}
		}
	}
	f("", map[string]string{"clients": "7", "rate": "2.5", "rooms": "[a,b]", "duration": "3s", "check": "true",
		"fields": `"a":1,"b":2`, "brokers": "[x:1,y:2]", "size": "128"})
	f("--clients 9 --rooms c --check=false", map[string]string{"clients": "9", "rooms": "[c]", "check": "false",
		"rate": "2.5"})
}

func TestScenarioBadInput(t *testing.T) {
	f := func(want, text string, args ...string) {
		t.Helper()
		_, code, err := run(t, append([]string{"run", writeScenario(t, text)}, args...)...)
		if code != exitInput || err == nil || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("code %d, %v; want %q", code, err, want)
		}
	}
	f("is empty", "")
	f("names no scenario", "clients: 5\n")
	f(`unknown scenario "keyd": did you mean "keyed"?`, "scenario: keyd\n")
	f(":2: unknown key \"client\" of scenario keyed: did you mean \"clients\"?", "scenario: keyed\nclient: 5\n")
	f("known are", "scenario: keyed\nabcdefgh: 5\n")
	f("unknown scenario \"run\"", "scenario: run\n")
	f("unknown scenario \"worker\"", "scenario: worker\n")
	f(":3: clients: ", "scenario: keyed\n\nclients: many\n")
	f("is there twice", "scenario: keyed\nsize: 1\nsize: 2\n")
	f("plain value", "scenario: keyed\nclients: [5]\n")
	f("plain value", "scenario: keyed\nclients: {a: 5}\n")
	f("plain value", "scenario: keyed\nclients:\n")
	f("list of plain", "scenario: fanout\nrooms: [[5]]\n")
	f("holds no keys", "- 5\n")
	f("more than one document", "scenario: keyed\n---\nscenario: keyed\n")
	f("cannot read", "scenario: [\n")
	f("unknown flag", "scenario: keyed\n", "--bogus")
	f("only flags", "scenario: keyed\n", "x")
	f("--html: ", "scenario: keyed\nhtml: /no/such/directory/x\n")
	f("--out: ", "scenario: ramp\nout: /no/such/directory/x\n")
	f(`unknown key "html" of scenario ramp`, "scenario: ramp\nhtml: x\n")
	f("connection refused", "scenario: keyed\ndirect: true\nadmin: http://127.0.0.1:1\n")
	for _, args := range [][]string{{"run", "/does/not/exist.yaml"}, {"run", "--clients", "5"}} {
		if _, code, err := run(t, args...); code != exitInput {
			t.Errorf("%v: code %d, %v", args, code, err)
		}
	}
}
