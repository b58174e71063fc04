package rooms

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// plant is a small fault. It says which text of which file the fault replaces.
type plant struct{ what, file, old, new string }

// plantedFaults are small faults. The model must find each of them.
var plantedFaults = []plant{
	{"a cut leaves out a frame between two chunks", "piece.go", "at = c.first + uint64(to)\n",
		"at = c.first + uint64(to) + 1\n"},
	{"a join gets the frame before its seam", "keyframe.go", "return r.next, s.levelAt(",
		"return r.next - min(r.next, 1), s.levelAt("},
	{"an order that is made again leaves out what is not published yet", "latest.go", " || f.num >= published {", " {"},
	{"a tombstone is forgotten and nobody knows", "latest.go", "l.forgotten.Store(f.num + 1)", "_ = f.num"},
	{"keys go after half their time", "remember.go", "s.now-f.at > k.keyTTL().Milliseconds()",
		"s.now-f.at > k.keyTTL().Milliseconds()/2"},
	{"positions of partition 2 are taken to be those of 1", "filter.go", "p := posOf(list, part)",
		"p := posOf(list, min(part, 1))"},
	{"positions are one further than the tape", "events.go", "next.off[it.part] = max(next.off[it.part], it.off)",
		"next.off[it.part] = max(next.off[it.part], it.off+1)"},
	{"a resume begins a chunk late", "resume.go", "r.numberFrom(c.first), c.after[feed], now)",
		"r.numberFrom(c.first+uint64(c.n)), c.after[feed], now)"},
	{"of the chunks that go one is not searched for last values", "sweep.go", "r.evacuate(n)", "r.evacuate(n - 1)"},
	{"a walk that is interrupted leaves out a key", "latest_read.go",
		"next, level = f.num, false\n\t\t\tbreak\n\t\t}\n\t\tif k",
		"next, level = f.num+1, false\n\t\t\tbreak\n\t\t}\n\t\tif k"},
	{"a member with a filter is told of every key that goes", "filter.go",
		"if !f.source.record() && f.source != sourceExpired {", "if !f.source.record() {"},
	{"a private room's list forgets where it begins", "refs.go", "first: list.first + uint64(gone)",
		"first: list.first"},
	{"the deflated tape is numbered one too high", "tape_coded.go", "z.size, z.next = t.size, t.next\n",
		"z.size, z.next = t.size, t.next+1\n"},
	{"a book begins behind its keyframe", "shard.go", "r.keyframe.Store(num + 1)", "r.keyframe.Store(num + 2)"},
	{"a position takes in the first frame that was not sent", "positions.go",
		"part, last := f.source.partition(), f.off-1", "part, last := f.source.partition(), f.off"},
	{"prev is that of the first message of the partition", "shard.go", "r.chain.set(it.part, it.off)",
		"if !known {\n\t\tr.chain.set(it.part, it.off)\n\t}"},
	{"a record that follows a position is taken to be before it", "resume.go", "s.off[p.Partition] > p.Offset)",
		"s.off[p.Partition] > p.Offset+1)"},
	{"a gap begins later than the member was", "tape.go", "(*gone)[i].first > at }) - 1",
		"(*gone)[i].first > at+5 }) - 1"},
	{"what is read again goes on behind where the tape takes over", "past.go",
		"within(filter.Have, f.source.partition(), f.off) || !within(upTo, f.source.partition(), f.off)",
		"within(filter.Have, f.source.partition(), f.off)"},
	{"last values outlive their topic", "events.go", "r.last.end(r.next)\n", "_ = r.last\n"},
	{"a resume begins before the topic was made again", "resume.go", "if then.gen == now.gen {",
		"if true || then.gen == now.gen {"},
	{"a client that was away does not hear of a gap", "resume.go", "gone := s.lostSince(r, have)",
		"gone := false && s.lostSince(r, have)"},
	{"a record that is read twice is sent twice", "shard.go", "known && it.off <= prev || s.reached(",
		"known && it.off < prev || s.reached("},
	{"a value is evicted and no walk knows", "latest.go", "l.evicted.Store(f.num + 1)", "_ = f.num"},
	{"a value is evicted and no resume knows", "latest.go", "l.evicted.Store(f.num + 1)\n\tl.lose(f)",
		"l.evicted.Store(f.num + 1)"},
	{"a snapshot does not begin again, whatever is evicted", "latest_read.go",
		"Known{r.last.forgotten.Load(), r.head.Load()}", "Known{r.last.forgotten.Load(), gone}"},
	{"a room that lacks values says that it is whole", "evict.go", "l.partial.Store(until)\n\t\tl.pack", "l.pack"},
	{"a value that is evicted is that of its key still", "latest.go",
		"func (l *latest) evict(f *lastFrame) {\n\tl.remove(f)",
		"func (l *latest) evict(f *lastFrame) {\n\tl.uncount(f)"},
}

// memberFaults are small faults in the rules of a member.
var memberFaults = []plant{
	{"a cursor goes on by what the kernel did not take", "member.go", "if last && n == len(p.Bytes) {", "if last {"},
	{"a walk ends before all of it is sent", "step.go", "x.level && m.at >= x.end {", "x.level {"},
	{"the last frame that a client has is sent again", "step.go", "return s.m.at >= f.Until",
		"return s.m.at+1 >= f.Until"},
	{"a client that was ahead gets what it has", "step.go",
		"return at.Epoch != \"\" && (at.Epoch != s.x.epoch || at.Cover(f.Have))", "return at.Epoch != \"\""},
	{"a member that lags skips a frame too many", "step.go", "s.skipTo(tail)\n\treturn true",
		"s.skipTo(tail + 1)\n\treturn true"},
	{"a snapshot begins though its client was not told", "step.go", "return !x.begin\n", "return true\n"},
	{"the end of a snapshot is not told where much waits", "step.go",
		"Partial(r))) {\n\t\t\t\treturn false\n\t\t\t}\n\t\t\tx.unplaced",
		"Partial(r))) {\n\t\t\t\t_ = m\n\t\t\t}\n\t\t\tx.unplaced"},
	{"what was sent of a past that was taken back is sent again", "past.go", "p.Reached(x.pastAt, ", "p.Reached(0, "},
	{"the rest of a past that was taken back is left out", "past.go", "x.upTo), true\n", "x.upTo), false\n"},
	{"of a past that comes in parts only the first is sent", "past.go",
		"x.upTo, x.more = p.UpTo, true", "x.upTo = p.UpTo"},
	{"a member begins behind the book that it awaited", "step.go", "s.x.await, m.at = false, k\n",
		"s.x.await, m.at = false, k+1\n"},
	{"a member does not wait for a book", "extra.go", "s.needs().await = true", "s.needs().await = false"},
	{"a position is told in the middle of a snapshot", "extra.go", "x.found != nil || x.walk == walkSnapshot || ",
		"x.found != nil || "},
	{"a client that was ahead is told of an earlier position", "extra.go", "at = at.Raised(x.epoch, x.filter.Have)",
		"at = at.Raised(\"\", x.filter.Have)"},
	{"a snapshot that begins again leaves out what its client had", "step.go",
		"x.filter.Have = nil\n\t\t\ts.begin", "s.begin"},
	{"a snapshot begins at the cursor", "step.go", "walkSnapshot, true, false, 0\n",
		"walkSnapshot, true, false, m.at\n"},
	{"a client that resumes gets what it has", "extra.go", "(m.at < how.Until || how.Ahead", "(how.Ahead"},
}

// allFaults are all of them, with their files as seen from here.
func allFaults() []plant {
	all := slices.Clone(plantedFaults)
	for _, f := range memberFaults {
		f.file = "../loop/member/" + f.file
		all = append(all, f)
	}
	return all
}

// TestFaultsFit checks that each fault can still be planted: code that changes takes its
// faults along.
func TestFaultsFit(t *testing.T) {
	for _, fault := range allFaults() {
		code, err := os.ReadFile(fault.file)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(code), fault.old); n != 1 {
			t.Errorf("%s: %s has %q %d times, want once: plant it again", fault.what, fault.file, fault.old, n)
		}
	}
}

// TestFaults plants each fault in a copy of the packages and has the model look for it.
// It takes minutes, and is asked for by TAPECAST_FAULTS=1 (make faults).
func TestFaults(t *testing.T) {
	if os.Getenv("TAPECAST_FAULTS") == "" {
		t.Skip("set TAPECAST_FAULTS=1 to have the model look for planted faults")
	}
	dir := t.TempDir()
	copyOf(t, "..", dir, "go.mod", "go.sum")
	for _, glob := range []string{"*.go", "*/*.go"} { // with the packages inside this one
		files, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		copyOf(t, ".", filepath.Join(dir, "rooms"), files...)
	}
	rules, err := filepath.Glob("../loop/member/*.go")
	if err != nil {
		t.Fatal(err)
	}
	copyOf(t, ".", filepath.Join(dir, "rooms"), rules...)
	after := regexp.MustCompile(`the first fault after (\d+) steps`)
	for _, fault := range allFaults() {
		t.Run(fault.what, func(t *testing.T) {
			name := filepath.Join(dir, "rooms", fault.file)
			good, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			defer write(t, name, string(good))
			write(t, name, strings.Replace(string(good), fault.old, fault.new, 1))
			cmd := exec.Command("go", "test", "-count=1", "-run", "^TestModel$", "-timeout", "5m", "./rooms",
				"-rapid.nofailfile", "-rapid.shrinktime=0s", "-rapid.checks=100000", "-rapid.steps=100")
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			found := after.FindSubmatch(out)
			if err == nil || found == nil {
				t.Fatalf("not found: %v %.2000s", err, out)
			}
			t.Logf("found after %s steps", found[1])
			fmt.Printf("| %s | `%s` | %s |\n", fault.what, fault.file, found[1])
		})
	}
}

func copyOf(t *testing.T, from, to string, names ...string) {
	t.Helper()
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(to, name), string(b))
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
