package wsread

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// count is the cheapest receiver.
type count int

func (c *count) Message(ws.OpCode, []byte)    { *c++ }
func (c *count) Limits() Limits               { return Limits{Message: 1 << 20} }
func (c *count) Admit() bool                  { return true }
func (c *count) Fragment(int)                 {}
func (c *count) Inflated(_, _ int)            {}
func (c *count) Ping([]byte)                  { *c++ }
func (c *count) Pong([]byte)                  { *c++ }
func (c *count) Closed(ws.StatusCode, []byte) { *c++ }

func BenchmarkFeed(b *testing.B) {
	request := `{"method":"subscribe","params":["prices:BTCUSDT","trades:BTCUSDT"],"id":1}`
	run := func(name string, data []byte, step int) {
		b.Run(name, func(b *testing.B) {
			var r Reader
			var n count
			buf := make([]byte, len(data))
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				copy(buf, data)
				for p := buf; len(p) > 0; {
					k := min(step, len(p))
					if code, reason := r.Feed(p[:k], &n); code != 0 {
						b.Fatal(code, reason)
					}
					p = p[k:]
				}
			}
			if int(n) < b.N {
				b.Fatalf("%d events in %d rounds", n, b.N)
			}
		})
	}
	run("request", frames().text(request).b, 1<<20)
	run("request in two", frames().text(request).b, 50)
	run("request bytewise", frames().text(request).b, 1)
	run("pong", frames().add(0x8A, "").b, 1<<20)
	for _, n := range []int{1 << 10, 64 << 10} {
		run(fmt.Sprintf("text %d", n), frames().text(strings.Repeat("x", n)).b, 1<<20)
		run(fmt.Sprintf("text %d in 4096", n), frames().text(strings.Repeat("x", n)).b, 4096)
	}
	run("fragments", frames().add(0x01, request).add(0x00, request).ping("").add(0x80, request).b, 1<<20)
}
