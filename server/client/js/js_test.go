package js

import (
	"bytes"
	"compress/gzip"
	"os"
	"os/exec"
	"testing"
)

// maxGzipped is the promised size of the bundle.
const maxGzipped = 7500

func TestBundleSize(t *testing.T) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(Bundle); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if b.Len() > maxGzipped {
		t.Errorf("the bundle has %d bytes gzipped, %d were promised", b.Len(), maxGzipped)
	}
	t.Logf("%d bytes, %d gzipped", len(Bundle), b.Len())
}

// TestBundleIsBuilt: the committed bundle is the one that src makes, byte for byte.
func TestBundleIsBuilt(t *testing.T) {
	out := t.TempDir() + "/client.js"
	cmd := exec.Command("bash", "bundle.sh", out)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	made, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made, Bundle) {
		t.Error("dist/client.js is not what src makes: run `make client`, and commit it")
	}
}
