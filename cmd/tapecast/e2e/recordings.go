package e2e

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// row is one recorded message.
type row struct {
	at      time.Duration // since the first row
	key     string
	payload []byte
}

func recording(t testing.TB, elem ...string) io.Reader {
	t.Helper()
	name := filepath.Join(append([]string{dataHome()}, elem...)...)
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("no recorded market data at %s: set TAPECAST_DATA to run this", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatalf("cannot read %s: %v", name, err)
	}
	return z
}

// trades returns the first max rows of trade.tsv.gz. Their ids grow by one for each key,
// which is checked here. So a client that got these payloads in this order got ids without
// a gap.
func trades(t testing.TB, max int) []row {
	t.Helper()
	s := bufio.NewScanner(recording(t, "trade.tsv.gz"))
	var rows []row
	var first int64
	last := map[string]int64{}
	for s.Scan() && len(rows) < max {
		f := bytes.SplitN(s.Bytes(), []byte("\t"), 3)
		ns, err := strconv.ParseInt(string(f[0]), 10, 64)
		if err != nil {
			t.Fatalf("row %d: %v", len(rows), err)
		}
		if len(rows) == 0 {
			first = ns
		}
		m := tradeID.FindSubmatch(f[2])
		if m == nil {
			t.Fatalf("row %d: no trade id in %s", len(rows), f[2])
		}
		id, _ := strconv.ParseInt(string(m[1]), 10, 64)
		key := string(f[1])
		if was, ok := last[key]; ok && id != was+1 {
			t.Fatalf("row %d: the recording itself steps from %d to %d at %s", len(rows), was, id, key)
		}
		last[key] = id
		rows = append(rows, row{time.Duration(ns - first), key, bytes.Clone(f[2])})
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

var (
	tradeID        = regexp.MustCompile(`"t":(\d+)`)
	recordedLine   = regexp.MustCompile(`^(\d+\.\d+): (\{.*\})$`)
	recordedSymbol = []*regexp.Regexp{
		regexp.MustCompile(`"s":"([^"]+)"`),
		regexp.MustCompile(`"product_id":"([^"]+)"`),
		regexp.MustCompile(`"topic":"/market/[a-z0-9]+:([^"_]+)`),
		regexp.MustCompile(`"stream":"([^"@]+)@`),
	}
)

// symbols returns the recordings of multisymbol, merged by the time since each began, with
// the symbol as the key.
func symbols(t testing.TB) []row {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dataHome(), "multisymbol", "*.gz"))
	if err != nil || len(names) == 0 {
		t.Skipf("no recorded market data in %s: set TAPECAST_DATA to run this", dataHome())
	}
	var all []row
	for _, name := range names {
		venue, _, _ := strings.Cut(filepath.Base(name), ".")
		s := bufio.NewScanner(recording(t, "multisymbol", filepath.Base(name)))
		s.Buffer(nil, 1<<20)
		first := 0.0
		for s.Scan() {
			m := recordedLine.FindSubmatch(s.Bytes())
			if m == nil || !json.Valid(m[2]) {
				continue
			}
			at, err := strconv.ParseFloat(string(m[1]), 64)
			if err != nil {
				t.Fatal(err)
			}
			if first == 0 {
				first = at
			}
			symbol := "other"
			for _, re := range recordedSymbol {
				if sm := re.FindSubmatch(m[2]); sm != nil {
					symbol = string(sm[1])
					break
				}
			}
			all = append(all, row{time.Duration((at - first) * 1e9), venue + "." + symbol, bytes.Clone(m[2])})
		}
		if err := s.Err(); err != nil {
			t.Fatal(err)
		}
	}
	slices.SortStableFunc(all, func(a, b row) int { return cmp.Compare(a.at, b.at) })
	return all
}

// pace calls f with each row when it is due, at a multiple of the real pace, until f
// returns false.
func pace(rows []row, times float64, f func(row) bool) {
	began := time.Now()
	for _, r := range rows {
		due(began, time.Duration(float64(r.at-rows[0].at)/times))
		if !f(r) {
			return
		}
	}
}
