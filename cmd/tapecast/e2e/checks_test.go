package e2e

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// The suite's own checks: a check that cannot find a fault proves nothing.

// leanStream returns the frames of 60 rows over three partitions, and the rows.
func leanStream() (frames []string, want [][][]byte) {
	want = make([][][]byte, 3)
	prev := []string{"", "", ""}
	for i := range 60 {
		p := i * 7 % 3
		pos := fmt.Sprintf("%d:%d", p, 100+2*i)
		value := fmt.Sprintf(`{"t":%d,"s":"A"}`, i)
		frames = append(frames,
			fmt.Sprintf(`{"room":"trades","type":"t","key":"A","pos":"%s"%s,"ts":1,"data":%s}`, pos, prev[p], value))
		prev[p] = `,"prev":"` + pos + `"`
		want[p] = append(want[p], []byte(value))
	}
	return frames, want
}

func TestLeanClientFindsFaults(t *testing.T) {
	run := func(frames []string, want [][][]byte) error {
		var wire bytes.Buffer
		for _, f := range frames {
			wire.Write(ws.MustCompileFrame(ws.NewTextFrame([]byte(f))))
		}
		c := &leanClient{want: want, parts: []leanPart{{last: -1}, {last: -1}, {last: -1}}, total: 60}
		return c.read(&wire)
	}
	frames, want := leanStream()
	if err := run(frames, want); err != nil {
		t.Fatal(err)
	}
	f := func(what string, change func(f []string) []string) {
		t.Helper()
		frames, want := leanStream()
		if err := run(change(frames), want); err == nil {
			t.Errorf("%s is not found", what)
		}
	}
	f("a loss", func(f []string) []string { return slices.Delete(f, 20, 21) })
	f("a loss at the end", func(f []string) []string { return f[:59] })
	f("a double", func(f []string) []string { return slices.Insert(f, 20, f[20]) })
	f("a swap", func(f []string) []string { f[20], f[23] = f[23], f[20]; return f })
	f("a changed byte", func(f []string) []string { f[30] = strings.Replace(f[30], `"A"}`, `"B"}`, 1); return f })
	f("a broken chain", func(f []string) []string {
		f[30] = strings.Replace(f[30], `"prev":"0:15`, `"prev":"0:14`, 1)
		f[31] = strings.Replace(f[31], `"prev":"1:15`, `"prev":"1:14`, 1)
		return f
	})
	f("a missing link", func(f []string) []string {
		f[30] = f[30][:strings.Index(f[30], `,"prev"`)] + f[30][strings.Index(f[30], `,"ts"`):]
		return f
	})
}

func TestRoomFindsFaults(t *testing.T) {
	at := func(p0, p1 int64) positions { return positions{"e", map[int32]int64{0: p0, 1: p1}} }
	f := func(ok bool, what string, steps ...func(r *room)) {
		t.Helper()
		r := newRoom("r", at(10, 20), true)
		for _, s := range steps {
			s(r)
		}
		if ok != (len(r.faults) == 0) {
			t.Errorf("%s: faults %q", what, r.faults)
		}
	}
	frame := func(part int32, off, prev int64) func(*room) {
		return func(r *room) { r.data(frame{part: part, off: off, prev: prev}) }
	}
	level := func(p positions) func(*room) { return func(r *room) { r.level(p) } }
	gap := func(from, to positions) func(*room) { return func(r *room) { r.gap(from, to) } }

	f(true, "in order", frame(0, 12, 9), frame(1, 21, noPrev), frame(0, 14, 12))
	f(true, "a quiet room", frame(0, 12, 10), level(at(15, 30)), frame(0, 16, 12), frame(1, 31, 19))
	f(true, "a gap", frame(0, 12, 10), gap(at(12, 20), at(30, 20)), frame(0, 33, 29))
	f(true, "created again", frame(0, 12, 10), func(r *room) { r.reset("e2") }, frame(0, 0, noPrev), frame(0, 1, 0))
	f(false, "before the seam", frame(0, 10, 9))
	f(false, "twice", frame(0, 12, 10), frame(0, 12, 10))
	f(false, "back", frame(0, 12, 10), frame(0, 11, 10))
	f(false, "a loss after the seam", frame(0, 14, 12))
	f(false, "a loss", frame(0, 12, 10), frame(0, 16, 14))
	f(true, "a part that was read again", frame(0, 12, 10), frame(0, 13, noPrev), frame(0, 14, 13))
	bare := []func(*room){frame(0, 12, 10)}
	for at := range int64(13) {
		bare = append(bare, frame(0, 13+at, noPrev))
	}
	f(false, "missing links", bare...)
	f(false, "behind its positions", level(at(15, 20)), frame(0, 14, 10))
	f(false, "a hidden loss", level(at(15, 20)), frame(0, 17, 16))
	f(false, "positions that go back", frame(0, 12, 10), level(at(11, 20)))
	f(false, "a gap that hides a loss", frame(0, 12, 10), gap(at(14, 20), at(30, 20)))
	f(false, "a gap that lies", gap(at(10, 20), at(30, 20)), frame(0, 29, noPrev))
	f(false, "a reset to the same epoch", func(r *room) { r.reset("e") })
	f(false, "after the leave", func(r *room) { r.left = &positions{} }, frame(0, 12, 10))
}

func TestParseFrameIsStrict(t *testing.T) {
	good := `{"room":"prices","type":"price_update","key":"B\"T","pos":"3:1234","prev":"3:1229","ts":1699123456789,` +
		`"data":{"a": 1}}`
	f, err := parseFrame([]byte(good))
	if err != nil || f.key != `B"T` || f.part != 3 || f.off != 1234 || f.prev != 1229 || string(f.data) != `{"a": 1}` {
		t.Fatalf("got %+v, %v", f, err)
	}
	bad := func(old, new string) {
		t.Helper()
		if _, err := parseFrame([]byte(strings.Replace(good, old, new, 1))); err == nil {
			t.Errorf("%q for %q passed", new, old)
		}
	}
	bad(`"3:1229"`, `"2:1229"`)
	bad(`,"ts"`, `, "ts"`)
	bad(`"room":"prices","type":"price_update"`, `"type":"price_update","room":"prices"`)
	bad(`1}}`, `1`)
	bad(`"3:1234"`, `"3:"`)
}
