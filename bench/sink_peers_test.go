package bench

import (
	"errors"
	"strings"
	"testing"

	"tapecast/bench/job"
)

func TestPublishBadInput(t *testing.T) {
	f := func(to, want string) {
		t.Helper()
		target := Target{Publish: to}
		err := target.checkPublishing(t.Context(), Endpoint{})
		var input *job.InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", to, err, want)
		}
	}
	f("nats://127.0.0.1", "not nats://HOST:PORT")
	f("nats://127.0.0.1:1", "connection refused")
	f("ftp://x", "neither nats://")
	f("http://127.0.0.1:1/api", "connection refused")
}
