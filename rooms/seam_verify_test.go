package rooms

import (
	"math"
	"slices"
	"sort"
	"testing"
)

// sum is what a run has shown.
type sum struct{ members, records, prev, lags, resets, gaps, unknown int }

func (n *sum) add(m sum) {
	n.members += m.members
	n.records += m.records
	n.prev += m.prev
	n.lags += m.lags
	n.resets += m.resets
	n.gaps += m.gaps
	n.unknown += m.unknown
}

// verify compares what the member saw with what the log says it had to see,
// between each position it was given and each that it stood at after.
func (s *spectator) verify(t *testing.T, log *topicLog) (n sum) {
	t.Helper()
	n.members, n.lags = 1, len(s.starts)-1
	for i, start := range s.starts {
		end := math.MaxInt
		if i+1 < len(s.starts) {
			end = s.starts[i+1].n
		}
		if start.where.Epoch == "" {
			n.unknown++
		}
		for _, check := range s.checks {
			// A check at the very position of a lag was made before it or after it.
			if check.n < start.n || check.n >= end || check.n == start.n && i > 0 {
				continue
			}
			s.between(t, log, start, check)
			if t.Failed() {
				return n
			}
		}
	}
	for _, x := range s.got {
		switch x.kind {
		case 'd':
			n.records++
			if x.prev >= 0 {
				n.prev++
			}
		case 'g':
			n.gaps++
		case 'r':
			n.resets++
		}
	}
	return n
}

// between checks the sights from one position to another, epoch by epoch.
func (s *spectator) between(t *testing.T, log *topicLog, start, check mark) {
	t.Helper()
	epoch, lower := start.where.Epoch, start.where.Offsets
	known := epoch != ""
	if !known {
		epoch = check.where.Epoch // unless a reset follows
	}
	from := start.n
	for i := start.n; i <= check.n; i++ {
		if i < check.n && s.got[i].kind != 'r' {
			continue
		}
		w := stretch{s: s, t: t, log: log.epochs[epoch], epoch: epoch, got: s.got[from:i], lower: lower, known: known}
		switch {
		case !known && (i < check.n || epoch == ""):
			w.got = nil // it is not known of which epoch they are
			w.open = true
		case i < check.n: // all of the epoch was seen
			w.all = true
		case check.where.Epoch == "":
			w.open = true
		case check.where.Epoch == epoch:
			w.upper, w.overtaken = check.where.Offsets, check.overtaken
		case check.where.Epoch > epoch: // its end was not seen
			w.open = true
		default:
			t.Errorf("%s: a member that saw epoch %q has positions of %q", s.room.Name(), epoch, check.where.Epoch)
			return
		}
		w.verify()
		if i < check.n {
			epoch, from, known, lower = s.got[i].epoch, i+1, true, nil
		}
	}
}

// stretch is what was seen of one epoch.
type stretch struct {
	s         *spectator
	t         *testing.T
	log       *epochLog
	epoch     string
	got       []sight
	lower     []Pos
	known     bool // of lower: else only what lies between the first and the last sight counts
	upper     []Pos
	overtaken bool // upper may be earlier than it could be
	all       bool // up to the epoch's end
	open      bool // up to no position that is known
}

// In a partition's order, record n has the number 2n, and a gap that ends with
// n has 2n-1: behind the last record before the gap.
func (w *stretch) verify() {
	w.t.Helper()
	room := w.s.room
	seen := map[int32][]int64{}
	for _, x := range w.got {
		k := 2 * x.off
		if x.kind == 'g' {
			k--
		}
		seen[x.part] = append(seen[x.part], k)
	}
	for part := range int32(8) {
		var truth []int64
		begins := map[int64]int64{} // of a gap: where it begins
		if w.log != nil {
			for _, off := range w.log.rooms[room.name][part] {
				truth = append(truth, 2*off)
			}
			for _, g := range w.log.gaps[part] {
				truth = append(truth, 2*g.to-1)
				begins[2*g.to-1] = g.from
			}
		}
		slices.Sort(truth)
		got := seen[part]
		lower, upper := at(w.lower, part), at(w.upper, part)
		if !w.known {
			if len(got) == 0 {
				continue
			}
			lower = (got[0]+1)/2 - 1
		}
		switch {
		case w.all:
			upper = math.MaxInt64 / 4
		case w.open:
			upper = -1
			if len(got) > 0 {
				upper = (got[len(got)-1] + 1) / 2
			}
		}
		i := sort.Search(len(truth), func(i int) bool { return truth[i] > 2*lower })
		j := sort.Search(len(truth), func(i int) bool { return truth[i] > 2*upper })
		if w.open && len(got) > 0 && got[len(got)-1]%2 != 0 {
			j = sort.Search(len(truth), func(i int) bool { return truth[i] > got[len(got)-1] })
		}
		want := truth[i:max(i, j)]
		if j < len(truth) && len(got) > len(want) && truth[j]%2 != 0 && begins[truth[j]] <= upper {
			want = truth[i : j+1] // told of the gap, and not yet placed behind it
		}
		if w.overtaken {
			got = got[:min(len(got), len(want))]
		}
		if !slices.Equal(got, want) {
			w.t.Errorf("%s, epoch %s, partition %d, above %d (%v) up to %d: saw %v, want %v", room.name, w.epoch, part,
				lower, w.known, upper, got, want)
			return
		}
		w.prevs(part, truth, begins)
	}
}

// prevs checks that a prev that is there is exact.
func (w *stretch) prevs(part int32, truth []int64, begins map[int64]int64) {
	w.t.Helper()
	for _, x := range w.got {
		switch {
		case x.part != part:
		case x.kind == 'g':
			if x.epoch != w.epoch || begins[2*x.off-1] != x.prev {
				w.t.Errorf("%s: a gap from %d to %d of %s, want from %d", w.s.room.name, x.prev, x.off,
					x.epoch, begins[2*x.off-1])
			}
		case x.prev >= 0:
			i, _ := slices.BinarySearch(truth, 2*x.off)
			if i == 0 || truth[i-1] != 2*x.prev {
				w.t.Errorf("%s, partition %d: the message before %d is not %d", w.s.room.name, part, x.off, x.prev)
			}
		}
	}
}

// at is the offset of a partition; one that is missing is read from its start.
func at(list []Pos, part int32) int64 {
	for _, p := range list {
		if p.Partition == part {
			return p.Offset
		}
	}
	return -1
}
