package demo

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// FeedLine is one message of a recorded feed. Its slices are valid until the
// next line is read.
type FeedLine struct {
	At      time.Duration // since the first line; never less than the line before
	Kind    []byte        // of recordings of several kinds; else empty
	Key     []byte        // of recordings with keys; else empty
	Payload []byte
}

// FeedFile reads a recorded feed, gzip or plain. It knows lines of
//
//	recv_ns<TAB>key<TAB>payload
//	recv_ns<TAB>kind<TAB>key<TAB>payload
//	epoch_seconds: payload
//
// and skips lines that do not begin with a digit: recordings of the last form
// say there what was connected to.
type FeedFile struct {
	file  *os.File
	gz    *gzip.Reader
	lines *bufio.Scanner
	first int64 // ns
	last  time.Duration
	any   bool
	n     int
	line  FeedLine
	err   error
}

// maxFeedLine bounds a line; the largest recorded book has 64 KB.
const maxFeedLine = 16 << 20

// OpenFeed opens a recorded feed.
func OpenFeed(path string) (*FeedFile, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open a recorded feed: %w", err)
	}
	f := &FeedFile{file: file}
	var r io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		if f.gz, err = gzip.NewReader(file); err != nil {
			file.Close()
			return nil, fmt.Errorf("cannot unpack the recorded feed %s: %w", path, err)
		}
		r = f.gz
	}
	f.lines = bufio.NewScanner(r)
	f.lines.Buffer(make([]byte, 64<<10), maxFeedLine)
	return f, nil
}

// Next reads the next line; false: there is none, or Err says what went wrong.
func (f *FeedFile) Next() bool {
	for f.err == nil && f.lines.Scan() {
		f.n++
		line := f.lines.Bytes()
		if len(line) == 0 || line[0]-'0' > 9 {
			continue
		}
		at, ok := f.parse(line)
		if !ok {
			f.err = fmt.Errorf("line %d of %s is neither recv_ns<TAB>key<TAB>payload nor epoch_seconds: payload", f.n, f.file.Name())
			return false
		}
		if !f.any {
			f.first, f.any = at, true
		}
		f.last = max(f.last, time.Duration(at-f.first))
		f.line.At = f.last
		return true
	}
	if f.err == nil && f.lines.Err() != nil {
		f.err = fmt.Errorf("cannot read the recorded feed %s: %w", f.file.Name(), f.lines.Err())
	}
	return false
}

// Line is the line that Next has read.
func (f *FeedFile) Line() *FeedLine { return &f.line }

// Err says why Next ended early.
func (f *FeedFile) Err() error { return f.err }

// Close closes the file.
func (f *FeedFile) Close() error {
	var err error
	if f.gz != nil {
		err = f.gz.Close()
	}
	return errors.Join(err, f.file.Close())
}

// parse takes a line apart and returns its time in ns.
func (f *FeedFile) parse(line []byte) (at int64, ok bool) {
	f.line = FeedLine{}
	head, rest, tabs := bytes.Cut(line, []byte("\t"))
	if !tabs {
		if head, rest, ok = bytes.Cut(line, []byte(": ")); !ok {
			return 0, false
		}
		f.line.Payload = rest
		return seconds(head)
	}
	if f.line.Key, f.line.Payload, ok = bytes.Cut(rest, []byte("\t")); !ok {
		return 0, false
	}
	// A payload is JSON, which holds no raw tab where it is written on one line.
	if key, payload, more := bytes.Cut(f.line.Payload, []byte("\t")); more {
		f.line.Kind, f.line.Key, f.line.Payload = f.line.Key, key, payload
	}
	return number(head)
}

// seconds reads decimal seconds as ns; digits beyond are dropped.
func seconds(b []byte) (ns int64, ok bool) {
	whole, fraction, _ := bytes.Cut(b, []byte("."))
	s, ok := number(whole)
	if !ok || s > 1<<33 {
		return 0, false
	}
	for scale := int64(1e8); scale > 0 && len(fraction) > 0; scale /= 10 {
		if fraction[0]-'0' > 9 {
			return 0, false
		}
		ns += scale * int64(fraction[0]-'0')
		fraction = fraction[1:]
	}
	return s*1e9 + ns, true
}

func number(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	for _, c := range b {
		c -= '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + int64(c)
	}
	return n, n >= 0
}
