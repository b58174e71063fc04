package machine

import (
	"strings"
	"testing"
)

func TestDescriptorsFor(t *testing.T) {
	f := func(clients, procs, limit int, want string) {
		t.Helper()
		err := DescriptorsFor(clients, procs, limit)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Fatalf("%v; want %q", err, want)
		}
	}
	f(19_936, 1, 20_000, "")
	f(19_937, 1, 20_000, "use --procs 2")
	f(30_000, 2, 20_000, "")
	f(50_000, 2, 20_000, "enough for 39872 clients: use --procs 3")
	f(10, 1, 60, "too small")
}
