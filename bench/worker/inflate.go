package worker

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"io"
	"strings"

	"github.com/klauspost/compress/flate"
)

// inflater inflates deflated frames. All clients of a room get the same frames. So it
// inflates each once, and recognises its bytes after that: the bench must not spend on
// inflating what the gateway saves on deflating.
type inflater struct {
	seed  maphash.Seed
	known map[uint64]inflated
}

type inflated struct{ small, text []byte }

// maxKnown bounds the frames that are remembered. No client falls that far behind.
const maxKnown = 1024

func newInflater() *inflater {
	return &inflater{seed: maphash.MakeSeed(), known: map[uint64]inflated{}}
}

// inflate returns the message of a deflated payload (RFC 7692, 7.2.2).
func (f *inflater) inflate(p []byte) ([]byte, error) {
	key := maphash.Bytes(f.seed, p)
	if m, ok := f.known[key]; ok && bytes.Equal(m.small, p) {
		return m.text, nil
	}
	const end = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"
	text, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(p), strings.NewReader(end))))
	if err != nil {
		return nil, fmt.Errorf("cannot inflate a frame: %w", err)
	}
	if len(f.known) >= maxKnown {
		clear(f.known)
	}
	f.known[key] = inflated{bytes.Clone(p), text}
	return text, nil
}
