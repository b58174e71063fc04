package wsread

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/klauspost/compress/flate"
)

// deflateAll is a message as a client sends it; final: in one final block.
func deflateAll(t testing.TB, p []byte, final bool) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, 6)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if final {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return append(out.Bytes(), 0)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\x00\x00\xff\xff"))
}

func TestReaderInflates(t *testing.T) {
	const most = 100_000
	f := func(what string, in *script, want ...string) {
		t.Helper()
		for _, step := range []int{len(in.b), 1, 7} {
			got := feedWithin(&Reader{}, in.b, Limits{most, true}, &record{}, func() int { return step })
			if !slices.Equal(got, want) {
				t.Errorf("%s in steps of %d: %q, not %q", what, step, got, want)
			}
		}
	}
	frame := func(first byte, p []byte) *script { return (&script{}).add(first, string(p)) }
	text := func(p string) string { return "text " + short([]byte(p)) }
	rsv := "fault 1002 " + ws.ErrProtocolNonZeroRsv.Error()
	hello := deflateAll(t, []byte("Hello"), false)
	var quotes string
	for i := range 3000 {
		quotes += fmt.Sprintf("%d at %d; ", i, i*7919%10_007)
	}
	longest := strings.Repeat(quotes, 1+most/len(quotes))[:most]
	f("text", frame(0xC1, hello), text("Hello"))
	f("binary", frame(0xC2, hello), `binary "Hello"`)
	f("RFC 7692, 7.2.3.1", frame(0xC1, []byte{0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00}), text("Hello"))
	f("7.2.3.3, stored",
		frame(0xC1, []byte{0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00}), text("Hello"))
	f("7.2.3.4, a final block", frame(0xC1, []byte{0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00}), text("Hello"))
	f("7.2.3.5, two blocks",
		frame(0xC1, []byte{0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00}),
		text("Hello"))
	f("7.2.3.6, nothing", frame(0xC1, []byte{0}), text(""))
	f("a final block of zlib's", frame(0xC1, deflateAll(t, []byte(quotes), true)), text(quotes))
	f("long", frame(0xC1, deflateAll(t, []byte(quotes), false)), text(quotes))
	f("plain between", frame(0x81, []byte("plain")).add(0xC1, string(hello)), text("plain"), text("Hello"))
	z := deflateAll(t, []byte(quotes), false)
	parts := func() *script {
		return frame(0x41, z[:10]).add(0x89, "p").add(0x00, string(z[10:20])).add(0x80, string(z[20:]))
	}
	f("fragments with a ping between", parts(), `ping "p"`, text(quotes))
	f("fragments, then plain ones", parts().add(0x01, "a").add(0x80, "b"), `ping "p"`, text(quotes), text("ab"))

	f("RSV1 on a continuation", frame(0x41, z[:10]).add(0xC0, string(z[10:])), rsv)
	f("RSV1 on a ping", frame(0xC9, nil), rsv)
	f("RSV2", frame(0xA1, hello), rsv)
	f("RSV3", frame(0x91, hello), rsv)
	f("no deflate", frame(0xC1, []byte("\xff\xff\xff\xff")), "fault 1007 message is not deflated")
	f("cut", frame(0xC1, z[:len(z)/2]), "fault 1007 message is not deflated")
	f("after the end", frame(0xC1, append(deflateAll(t, []byte("a"), true), 1, 2)),
		"fault 1007 data after the final block of a deflated message")
	f("no UTF-8", frame(0xC1, deflateAll(t, []byte("a\xffb"), false)), "fault 1007 "+reasonUTF8)
	f("too long", frame(0xC1, deflateAll(t, []byte(longest+"!"), false)), "fault 1009 "+reasonTooBig)
	f("as long as may be", frame(0xC2, deflateAll(t, []byte(longest), false)), "binary "+short([]byte(longest)))
	f("zeros", frame(0xC2, deflateAll(t, make([]byte, 90_000), false)),
		"fault 1009 message inflates to more than 256 times its size")
	f("few zeros", frame(0xC2, deflateAll(t, make([]byte, 64<<10), false)), "binary "+short(make([]byte, 64<<10)))
}

// FuzzReaderInflates: whatever a client that agreed on deflating sends, its
// limits hold, and how the bytes were cut changes nothing.
func FuzzReaderInflates(f *testing.F) {
	for _, p := range []string{"", "Hello", strings.Repeat("a quote; ", 500), string(make([]byte, 9000))} {
		z := deflateAll(f, []byte(p), len(p)%2 == 0)
		f.Add(z, uint8(3), byte(0xC1))
		f.Add(z, uint8(200), byte(0x42))
	}
	f.Fuzz(func(t *testing.T, z []byte, step uint8, first byte) {
		const most = 8000
		in := (&script{}).add(first, string(z)).add(0x80, string(z))
		var rec [2]record
		for i, step := range []int{len(in.b), 1 + int(step)} {
			rec[i].hook = func(line string) {
				if rec[i].found > 2*most {
					t.Fatalf("%d bytes in two messages", rec[i].found)
				}
			}
			feedWithin(&Reader{}, in.b, Limits{most, true}, &rec[i], func() int { return step })
		}
		if !slices.Equal(rec[0].lines, rec[1].lines) {
			t.Fatalf("%q\n%q", rec[0].lines, rec[1].lines)
		}
	})
}

// TestInflateKeepsNothing: inflating takes an inflater of the pool and nothing else.
func TestInflateKeepsNothing(t *testing.T) {
	z := deflateAll(t, []byte(strings.Repeat("a quote; ", 100)), false)
	n := testing.AllocsPerRun(100, func() {
		if code, _ := inflated(ws.OpText, z, 10_000, nothing{}); code != 0 {
			t.Fatal(code)
		}
	})
	if n > 1 && !raceEnabled {
		t.Errorf("%v allocations a message", n)
	}
}

type nothing struct{}

func (nothing) Limits() Limits               { return Limits{Message: 1 << 20} }
func (nothing) Admit() bool                  { return true }
func (nothing) Fragment(int)                 {}
func (nothing) Inflated(_, _ int)            {}
func (nothing) Message(ws.OpCode, []byte)    {}
func (nothing) Ping([]byte)                  {}
func (nothing) Pong([]byte)                  {}
func (nothing) Closed(ws.StatusCode, []byte) {}
