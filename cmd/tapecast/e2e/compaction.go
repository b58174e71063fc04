package e2e

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// standing is what a topic holds of a key at some position.
type standing struct {
	off int64 // -1: nothing, or a tombstone
	at  time.Time
}

// expirySlack is how much later than key_ttl a key may expire. Retention runs four times a
// second, and a record is a little older than its frame.
const expirySlack = 3 * time.Second

// wrong reports whether a snapshot must not hold this frame of the key (off, or -1). The
// client asked for the snapshot and got it at the given times.
func (s standing) wrong(off int64, asked, came time.Time, ttl time.Duration) bool {
	switch {
	case s.off < 0:
		return off >= 0
	case off < 0:
		return came.Before(s.at.Add(ttl))
	default:
		return off != s.off || asked.After(s.at.Add(ttl+expirySlack))
	}
}

// compact applies a record to what the topic holds by key.
func (v *viewers) compact(held []standing, r record) ([]standing, int) {
	key, ok := v.keys[string(r.key)]
	if !ok { // no client has ever had it
		key = len(v.keys)
		v.keys[string(r.key)] = key
	}
	for len(held) <= key {
		held = append(held, standing{off: -1})
	}
	held[key] = standing{r.offset, time.UnixMilli(r.ts)}
	if r.tombstone {
		held[key].off = -1
	}
	return held, key
}

func offsetOf(newest []int64, key int) int64 {
	if key < len(newest) {
		return newest[key]
	}
	return -1
}

// sameAsTopic compares every snapshot with an offline compaction of the topic at the same
// positions, and returns how many there were.
func (v *viewers) sameAsTopic(topic [][]record, ttl time.Duration) int {
	v.t.Helper()
	var all []*view
	for i := range v.of {
		for k := range v.of[i].taken {
			all = append(all, &v.of[i].taken[k])
		}
	}
	for p, recs := range topic {
		slices.SortFunc(all, func(a, b *view) int { return int(a.at[p] - b.at[p]) })
		var held []standing
		mine := map[int]bool{} // keys of this partition
		next := 0
		for _, s := range all {
			for ; next < len(recs) && recs[next].offset <= s.at[p]; next++ {
				var key int
				held, key = v.compact(held, recs[next])
				mine[key] = true
			}
			for key := range mine {
				if off := offsetOf(s.newest, key); held[key].wrong(off, s.asked, s.came, ttl) {
					v.t.Fatalf("a snapshot at %v, asked for at %s and there at %s, has %d of key %d; the topic %d of "+
						"%s", s.at, s.asked, s.came, off, key, held[key].off, held[key].at)
				}
			}
		}
		for _, r := range recs[next:] { // keys that came later are in no snapshot
			_, key := v.compact(held, r)
			if mine[key] {
				continue
			}
			for _, s := range all {
				if off := offsetOf(s.newest, key); off >= 0 {
					v.t.Fatalf("a snapshot at %v has %d of %s, which comes later", s.at, off, r.key)
				}
			}
			mine[key] = true
		}
	}
	return len(all)
}

// levelWith reports whether every viewer has what an offline compaction of the topic has.
func (v *viewers) levelWith(topic [][]record, ttl time.Duration) bool {
	var held []standing
	for _, recs := range topic {
		for _, r := range recs {
			held, _ = v.compact(held, r)
		}
	}
	now := time.Now()
	for i := range v.of {
		x := &v.of[i]
		if x.snapping || x.epoch == "" {
			return false
		}
		for key, s := range held {
			if s.wrong(offsetOf(x.newest, key), now, now, ttl) {
				return false
			}
		}
	}
	return true
}

// bestPrices returns the rows of bookTicker.tsv.gz that fall into a time at a multiple of
// their pace. It returns none without the recording.
func bestPrices(t testing.TB, over time.Duration, times float64) (rows []row) {
	t.Helper()
	const name = "bookTicker.tsv.gz"
	if _, err := os.Stat(filepath.Join(dataHome(), name)); err != nil {
		t.Logf("no recorded best prices in %s, generated ones only: set TAPECAST_DATA to have them", dataHome())
		return nil
	}
	first := int64(0)
	for s := bufio.NewScanner(recording(t, name)); s.Scan(); {
		f := bytes.SplitN(bytes.Clone(s.Bytes()), []byte("\t"), 3)
		ns, err := strconv.ParseInt(string(f[0]), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if first == 0 {
			first = ns
		}
		r := row{time.Duration(ns - first), string(f[1]), f[2]}
		if float64(r.at) > float64(over)*times {
			break
		}
		rows = append(rows, r)
	}
	return rows
}

// compacted returns what a topic holds of each key up to the given positions.
func compacted(topic [][]record, at map[int32]int64) map[string]int64 {
	m := map[string]int64{}
	for p, recs := range topic {
		for _, r := range recs {
			if r.offset > at[int32(p)] {
				break
			}
			if m[string(r.key)] = r.offset; r.tombstone {
				delete(m, string(r.key))
			}
		}
	}
	return m
}

func newestOf(values map[string]frame) map[string]int64 {
	m := map[string]int64{}
	for key, f := range values {
		m[key] = f.off
	}
	return m
}
