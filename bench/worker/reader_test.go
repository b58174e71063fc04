package worker

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"tapecast/bench/job"
	"tapecast/bench/proto"
	"tapecast/rooms"
)

// envelope wraps a value as the gateway does.
func envelope(v []byte, n int64) []byte {
	b := []byte(`{"room":"prices","type":"price_update","pos":"0:`)
	b = strconv.AppendInt(b, 1000+n, 10)
	if n > 0 {
		b = append(b, `","prev":"0:`...)
		b = strconv.AppendInt(b, 999+n, 10)
	}
	b = append(b, `","ts":1699123456789,"data":`...)
	return append(append(b, v...), '}')
}

func testReader(t *testing.T, bare, check bool) *reader {
	t.Helper()
	shape, err := job.NewValueShape(128, "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := job.NewSchedule(1e18, 1000)
	if err != nil {
		t.Fatal(err)
	}
	r := newReader(shape, bare, check)
	r.start(job.Timing{FeedTiming: job.FeedTiming{Schedule: s}, Anchor: 1e18 - 5e9}, newTally(1, &job.Assignment{}, 0))
	r.notice = func(int, []byte) error { return nil }
	r.control = func(int, byte, []byte) error { return nil }
	return r
}

func (r *reader) testFrame(n int64) []byte {
	v := r.shape.Make(nil, r.timing.Schedule.Due(n), n)
	if !r.bare {
		v = envelope(v, n)
	}
	return proto.AppendServerFrame(nil, proto.OpText, v)
}

// However the stream is cut into reads, each frame is taken once and timed from when it was
// due.
func TestReadAnySplit(t *testing.T) {
	for _, bare := range []bool{true, false} {
		var stream []byte
		r := testReader(t, bare, true)
		for n := range int64(20) {
			stream = append(stream, r.testFrame(n)...)
			if n == 7 {
				stream = proto.AppendServerFrame(stream, proto.OpPing, []byte("hi"))
				stream = proto.AppendServerFrame(stream, proto.OpText, []byte(`{"jsonrpc":"2.0","method":"positions"}`))
			}
		}
		for step := 1; step < len(stream); step += 37 {
			r := testReader(t, bare, true)
			notices, controls := 0, 0
			r.notice = func(int, []byte) error { notices++; return nil }
			r.control = func(int, byte, []byte) error { controls++; return nil }
			var have []byte
			for at := 0; at < len(stream); at += step {
				have = append(have, stream[at:min(at+step, len(stream))]...)
				used, err := r.read(0, have, 5e9+30e6) // 30 ms after the first was due
				if err != nil {
					t.Fatal(err)
				}
				have = have[used:]
			}
			if r.tally.unique != 20 || r.frames != 20 || notices != 1 || controls != 1 || len(have) != 0 ||
				r.chain != nil && r.chain.breaks != 0 {
				t.Fatalf("step %d: %d frames, %d notices, %d controls, %d bytes left", step, r.frames, notices,
					controls, len(have))
			}
			if r.latency.Count() != 20 || r.latency.Max() != 30e6 || r.early != 0 {
				t.Fatalf("step %d: latency %+v, early %d", step, r.latency.Quantiles(), r.early)
			}
		}
	}
}

// TestReadDeflated: deflated frames are checked like others, and count with their bytes on the
// wire.
func TestReadDeflated(t *testing.T) {
	var d rooms.Deflater
	r := testReader(t, false, true)
	r.inflates()
	var stream []byte
	for n := range int64(10) {
		f := r.testFrame(n)
		if n != 4 {
			f = d.AppendFrame(nil, proto.OpText, f[4:])
		}
		stream = append(stream, f...)
	}
	for step := 1; step < len(stream); step += 11 {
		r := testReader(t, false, true)
		r.inflates()
		for from, to := 0, 0; to < len(stream); {
			to = min(to+step, len(stream))
			used, err := r.read(0, stream[from:to], r.timing.Schedule.Due(20)-r.timing.Anchor)
			if err != nil {
				t.Fatal(err)
			}
			from += used
		}
		if r.frames != 10 || r.bytes != int64(len(stream)) {
			t.Fatalf("in steps of %d: %d frames of %d bytes, not 10 of %d", step, r.frames, r.bytes, len(stream))
		}
	}
	if _, err := r.read(0, proto.AppendServerFrame(nil, proto.Rsv1|proto.OpText, []byte("\xff\xff\xff\xff")),
		0); err == nil {
		t.Error("bytes that are not deflated are taken")
	}
	if _, err := r.read(0, proto.AppendServerFrame(nil, proto.Rsv1|proto.OpPing, nil), 0); err == nil {
		t.Error("a deflated ping is taken")
	}
}

func TestReadFaults(t *testing.T) {
	// edit changes a good frame, what describes the result
	f := func(bare, check bool, edit func([]byte) []byte, what string) {
		t.Helper()
		r := testReader(t, bare, check)
		good, bad := r.testFrame(0), edit(r.testFrame(1))
		used, err := r.read(0, append(good, bad...), 6e9)
		switch what {
		case "torn":
			if !errors.Is(err, errTorn) {
				t.Fatalf("%d, %v", used, err)
			}
		case "foreign":
			if err != nil || r.tally.foreign != 1 || r.frames != 1 {
				t.Fatalf("%v, foreign %d", err, r.tally.foreign)
			}
		case "other":
			if err != nil || r.others != 1 {
				t.Fatalf("%v, others %d", err, r.others)
			}
		default:
			if err == nil || !strings.Contains(err.Error(), what) {
				t.Fatalf("%v", err)
			}
		}
	}
	set := func(i int, c byte) func([]byte) []byte {
		return func(b []byte) []byte {
			if i < 0 {
				i += len(b)
			}
			b[i] = c
			return b
		}
	}
	for _, check := range []bool{false, true} {
		f(true, check, set(0, 0x01), "fragment")
		f(true, check, set(0, 0xc1), "reserved")
		f(true, check, set(1, 0xfe), "masked")
		f(true, check, func([]byte) []byte { return []byte("\x81\x7f\x00\x00\x00\x00\x00\x10\x00\x00") }, "a frame of")
		f(true, check, set(4, '['), "torn")
		f(true, check, set(4+job.NumberAt+3, 'x'), "torn")
		f(true, check, set(-1, ']'), "torn")
		f(true, check, func(b []byte) []byte { return proto.AppendServerFrame(nil, proto.OpText, []byte("hello")) },
			"torn")
		f(true, check, func(b []byte) []byte { return proto.AppendServerFrame(nil, proto.OpText, b[5:]) }, "torn")
		f(true, check, func(b []byte) []byte { return b[1:] }, "fragment")
		f(false, check, set(-1, ']'), "torn")
		f(false, check, set(-2, ']'), "torn")
		f(false, check, func([]byte) []byte {
			return proto.AppendServerFrame(nil, proto.OpText, []byte(`{"room":"user:1","pos":"0:1","data":{}}`))
		}, "other")
	}
	f(true, true, set(4+job.TimeAt+4, '9'), "foreign")
	f(true, true, set(-9, 'y'), "torn")
	f(false, true, set(-9, 'y'), "torn")
}

// A time that does not belong to the number is found without check too, if it is the first in
// a buffer.
func TestReadForeign(t *testing.T) {
	r := testReader(t, true, false)
	v := r.shape.Make(nil, 7e17, 0)
	if _, err := r.read(0, proto.AppendServerFrame(nil, proto.OpText, v), 6e9); err != nil {
		t.Fatal(err)
	}
	if r.tally.foreign != 1 || r.frames != 0 {
		t.Fatalf("foreign %d, frames %d", r.tally.foreign, r.frames)
	}
}

func TestChain(t *testing.T) {
	f := func(breaks int64, fault string, envs ...string) {
		t.Helper()
		c := newChain()
		var err error
		for _, e := range envs {
			if e == "gap" {
				c.forget(0, "a")
				continue
			}
			if err = c.follow(0, []byte(e)); err != nil {
				break
			}
		}
		if fault == "" && err != nil || fault != "" && (err == nil || !strings.Contains(err.Error(), fault)) ||
			c.breaks != breaks {
			t.Fatalf("%d breaks, %v", c.breaks, err)
		}
	}
	f(0, "", `{"room":"a","pos":"0:5","data":`, `{"room":"a","pos":"0:9","prev":"0:5","data":`)
	f(1, "", `{"room":"a","pos":"0:5","data":`, `{"room":"a","pos":"0:9","prev":"0:6","data":`)
	f(0, "", `{"room":"a","pos":"0:5","data":`, `{"room":"b","pos":"0:9","prev":"0:6","data":`)
	f(0, "", `{"room":"a","pos":"0:5","data":`, `{"room":"a","pos":"1:9","prev":"1:6","data":`)
	f(0, "", `{"room":"a","pos":"0:5","data":`, `{"room":"a","pos":"0:9","data":`)
	f(0, "", `{"room":"a","pos":"0:5","data":`, "gap", `{"room":"a","pos":"0:9","prev":"0:8","data":`)
	f(0, "without room", `{"type":"a"`)
	f(0, "without pos", `{"room":"a","data":`)
	f(0, "with pos", `{"room":"a","pos":"x","data":`)
	f(0, "and prev", `{"room":"a","pos":"0:5","prev":"1:4","data":`)
}

// No bytes of a server may crash the reader, and it never takes more than there are.
func FuzzRead(f *testing.F) {
	shape, _ := job.NewValueShape(128, "")
	s, _ := job.NewSchedule(1e18, 1000)
	v := shape.Make(nil, s.Due(0), 0)
	f.Add(proto.AppendServerFrame(nil, proto.OpText, v), true)
	f.Add(proto.AppendServerFrame(nil, proto.OpText, envelope(v, 0)), false)
	f.Add([]byte("\x89\x00\x81\x02{}"), false)
	f.Fuzz(func(t *testing.T, b []byte, bare bool) {
		for _, check := range []bool{false, true} {
			r := newReader(shape, bare, check)
			r.start(job.Timing{FeedTiming: job.FeedTiming{Schedule: s}}, newTally(1, &job.Assignment{}, 0))
			r.notice = func(int, []byte) error { return nil }
			r.control = func(int, byte, []byte) error { return nil }
			if used, err := r.read(0, b, 2e18); used > len(b) || err == nil && used < len(b) &&
				len(b)-used > r.limit+10 {
				t.Fatalf("used %d of %d, %v", used, len(b), err)
			}
		}
	})
}
