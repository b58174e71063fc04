package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// command runs the binary to its end.
func command(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	g := spawn(t, args...)
	within(t, patience, strings.Join(args, " "), g.exited)
	return g.output(), g.tail(1000), g.cmd.ProcessState.ExitCode()
}

func written(t testing.TB, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
