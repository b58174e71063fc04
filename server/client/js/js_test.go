package js

import (
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"tapecast/rooms/testwait"
)

// The promised sizes of the client, and of it with what pages share a connection with.
const (
	maxGzipped = 7500
	maxBoth    = 10500
)

func TestBundleSize(t *testing.T) {
	client, shared := gzipped(t, Bundle), gzipped(t, Shared)
	if client > maxGzipped || client+shared > maxBoth {
		t.Errorf("the client has %d bytes gzipped, and with shared.js %d; %d and %d were promised",
			client, client+shared, maxGzipped, maxBoth)
	}
	t.Logf("client.js: %d bytes, %d gzipped; shared.js: %d, %d", len(Bundle), client, len(Shared), shared)
}

func gzipped(t *testing.T, body []byte) int {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Len()
}

// TestBundleIsBuilt: the committed bundles are those that src makes, byte for byte.
func TestBundleIsBuilt(t *testing.T) {
	out := t.TempDir()
	if text, err := exec.Command("bash", "bundle.sh", out).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for name, bundle := range map[string][]byte{"client.js": Bundle, "shared.js": Shared} {
		made, err := os.ReadFile(out + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(made, bundle) {
			t.Errorf("dist/%s is not what src makes: run `make client`, and commit it", name)
		}
	}
}

// TestShared: pages that share a connection, in node, with ports in place of a worker. Its subtests are
// in test/shared.mjs.
func TestShared(t *testing.T) {
	nodeTests(t, "test/shared.mjs")
}

// TestBounds: what bounds the client. Its subtests are in test/bounds.mjs.
func TestBounds(t *testing.T) { nodeTests(t, "test/bounds.mjs") }

func nodeTests(t *testing.T, file string) {
	t.Helper()
	if _, why := nodeFlags(); why != "" {
		t.Skip(file + ": " + why)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testwait.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "--test", "--test-reporter=spec", file)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it ends the file's process too
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
