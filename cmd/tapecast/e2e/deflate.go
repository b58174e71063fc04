package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"
)

// deflateEnd is what permessage-deflate leaves out at a message's end, and a final block
// that ends the stream.
const deflateEnd = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

func inflateMessage(p []byte) ([]byte, error) {
	return io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(p), strings.NewReader(deflateEnd))))
}

func deflateMessage(t testing.TB, s string, level int) string {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = w.Write([]byte(s)); err == nil {
		err = w.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(out.String(), "\x00\x00\xff\xff")
}

// marketText returns n bytes that look like quotes, with random parts.
func marketText(rnd *rand.Rand, n int) string {
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, `{"s":"SYM%d","b":"%d.%02d","a":"%x"}`, rnd.IntN(50), rnd.IntN(90_000),
			rnd.IntN(100), rnd.Uint64())
	}
	return b.String()[:n]
}
