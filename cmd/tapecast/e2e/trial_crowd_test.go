package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const halfRequest = "GET /ws HTTP/1.1\r\nHost: x\r\n"

// crowdFaults is what many hostile clients do together.
func crowdFaults() []fault {
	return []fault{
		{"strangers: 50,000 half handshakes over a minute", func(x *trial) {
			h := newHolding(x, 8000)
			defer h.leave()
			began := time.Now()
			const n, over = 50_000, time.Minute
			onAll(4, func(hand int) {
				for i := hand; i < n; i += 4 {
					due(began, over*time.Duration(i)/n)
					h.open(i, halfRequest)
				}
			})
			x.note("%d open, %d refused within %.0f s; meanwhile %s", h.opened.Load(), h.failed.Load(),
				time.Since(began).Seconds(), x.another())
		}},
		{"strangers: half handshakes, as many as descriptors allow", func(x *trial) {
			var own unix.Rlimit
			if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
				x.t.Fatal(err)
			}
			n := int(own.Cur) - 1000 // of the test's own
			h := newHolding(x, n)
			defer h.leave()
			onAll(8, func(hand int) {
				for i := hand; i < n; i += 8 {
					h.open(i, halfRequest)
				}
			})
			x.note("%d connected, %d refused; the gateway holds %d descriptors; meanwhile %s",
				h.opened.Load(), h.failed.Load(), x.node.descriptors(), x.another())
		}},
		assault("members: deflate bombs of 50 MB", 20, dialing{deflate: true}, func(x *trial) []byte {
			return raw().add(0xC1, deflateMessage(x.t, string(make([]byte, 50<<20)), 9)).Bytes()
		}, 1),
		assault("members: 2,000 messages of 200 kB in 1 kB", 10, dialing{deflate: true}, func(x *trial) []byte {
			noise := marketText(rand.New(rand.NewPCG(1, 2)), 2000) // or else it is refused as a bomb
			ping := fmt.Sprintf(`{"method":"ping","id":1,"x":%q%s}`, noise, strings.Repeat(" ", 200_000))
			return raw().add(0xC1, deflateMessage(x.t, ping, 9)).Bytes()
		}, 2000),
		{"members: 100,000 subscribes a second", func(x *trial) {
			was := x.refused()
			frame := raw().text(`{"method":"subscribe","params":{"rooms":["feed"]},"id":1}`).Bytes()
			block := strings.Repeat(string(frame), 500)
			var sent, came atomic.Int64
			began := time.Now()
			const lasts = 5 * time.Second
			onAll(20, func(i int) {
				user := fmt.Sprint("hostile", i)
				for time.Since(began) < lasts {
					c, err := tryDial(x.t, x.node, dialing{query: "?token=" + x.on.token(user)})
					if err != nil {
						continue
					}
					came.Add(1)
					for time.Since(began) < lasts { // it is read later, or closed: then it comes again
						_ = c.conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
						if _, err := io.WriteString(c.conn, block); err != nil {
							break
						}
						sent.Add(500)
					}
					c.conn.Close()
				}
			})
			x.note("%.0f a second by %d connections; %.0f refused by limits",
				float64(sent.Load())/time.Since(began).Seconds(), came.Load(), x.refused()-was)
		}},
	}
}

// another connects, and says how long that took. A client must be let in, whatever strangers do.
func (x *trial) another() string {
	began := time.Now()
	if how := knockFor(x.node, patience); how != "let in" {
		x.t.Errorf("a client is %s", how)
	}
	return fmt.Sprintf("a client is in after %.1f s", time.Since(began).Seconds())
}

// holding is connections that stay, the newest so many.
type holding struct {
	x              *trial
	mu             sync.Mutex
	held           []net.Conn
	opened, failed atomic.Int64
}

func newHolding(x *trial, n int) *holding { return &holding{x: x, held: make([]net.Conn, n)} }

// open makes the n-th connection, and closes an older one for it.
func (h *holding) open(n int, send string) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 3, byte(1+n%16))}, Timeout: patience}
	c, err := d.Dial("tcp", h.x.node.public)
	if err == nil {
		_, err = io.WriteString(c, send)
	}
	if err != nil {
		h.failed.Add(1)
	} else {
		h.opened.Add(1)
	}
	h.mu.Lock()
	old := h.held[n%len(h.held)]
	h.held[n%len(h.held)] = c
	h.mu.Unlock()
	if old != nil {
		old.Close()
	}
}

func (h *holding) leave() {
	for _, c := range h.held {
		if c != nil {
			c.Close()
		}
	}
}
