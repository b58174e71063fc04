package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"tapecast/rooms/testwait"
)

func toClients(x *trial) *toxic { return x.front }

// clientFaults is harm on the way to the clients, and what hostile clients do.
func clientFaults() []fault {
	return slices.Concat(clientNetworkFaults(), strangerFaults(), tokenFaults(), memberFaults())
}

// clientNetworkFaults is harm on the way to the clients.
func clientNetworkFaults() []fault {
	return []fault{
		outage("clients: all cut, refused for 3 s", toClients, 3*time.Second, ""),
		{"clients: all cut five times", func(x *trial) {
			for range 5 {
				x.front.cut()
				x.front.open()
				x.during(time.Second)
			}
		}},
		harmed("clients: their network vanishes", toClients, 12*time.Second, func(p *toxic) {
			p.add("timeout", "down", `"timeout":0`)
			p.add("timeout", "up", `"timeout":0`)
		}, ""),
		harmed("clients: what they send vanishes", toClients, 12*time.Second,
			func(p *toxic) { p.add("timeout", "up", `"timeout":0`) }, ""),
		harmed("clients: one byte at a time", toClients, 2*time.Second,
			func(p *toxic) { p.add("slicer", "down", `"average_size":1,"size_variation":0,"delay":1`) }, ""),
		harmed("clients: requests one byte at a time", toClients, 3*time.Second, func(p *toxic) {
			p.add("slicer", "up", `"average_size":1,"size_variation":0,"delay":1000`)
			p.cut()
			p.open()
		}, ""),
		harmed("clients: reset within a frame", toClients, 4*time.Second,
			func(p *toxic) { p.add("limit_data", "down", `"bytes":7777`) }, ""),
		harmed("clients: reset", toClients, 4*time.Second,
			func(p *toxic) { p.add("reset_peer", "down", `"timeout":300`) }, ""),
		harmed("clients: 1 s late", toClients, 4*time.Second,
			func(p *toxic) { p.add("latency", "down", `"latency":1000,"jitter":500`) }, ""),
		harmed("clients: 10 kB a second", toClients, 4*time.Second,
			func(p *toxic) { p.add("bandwidth", "down", `"rate":10`) }, ""),
		harmed("clients: close slowly", toClients, 3*time.Second, func(p *toxic) {
			p.add("slow_close", "up", `"delay":2000`)
			p.cut()
			p.open()
		}, ""),
	}
}

// strangerFaults is what clients do that have not authenticated.
func strangerFaults() []fault {
	return []fault{
		strangers("strangers: 300 that send nothing", 300, "", 2*time.Second),
		strangers("strangers: 300 half requests", 300, "GET /ws HTTP/1.1\r\nHost: x\r\n", 2*time.Second),
		strangers("strangers: noise", 100,
			"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"+strings.Repeat("\xaa", 600), 0),
		strangers("strangers: HTTP/2", 100, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0),
		strangers("strangers: header bombs", 50, "GET /ws HTTP/1.1\r\nX: "+strings.Repeat("x", 1<<20), 0),
		strangers("strangers: ten thousand headers", 50,
			"GET /ws HTTP/1.1\r\n"+strings.Repeat("A: b\r\n", 10_000), 0),
		strangers("strangers: connect and leave", 2000, "", 0),
		strangers("strangers: not an upgrade", 200, "GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", 0),
		strangers("strangers: requests in one piece", 100,
			strings.Repeat("GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", 200), 0),
	}
}

// tokenFaults is clients with tokens of all bad kinds.
func tokenFaults() []fault {
	return []fault{
		tokens("tokens: forged", 200, func(g *gateway) string { return g.token("s0") + "x" }),
		tokens("tokens: expired", 200, func(*gateway) string { return tokenFor("s0", -time.Hour) }),
		tokens("tokens: alg none", 200, func(*gateway) string {
			part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
			return part(`{"alg":"none"}`) + "." + part(`{"sub":"s0","exp":9999999999}`) + "."
		}),
		tokens("tokens: 6 kB of dots", 200, func(*gateway) string { return strings.Repeat(".", 6000) }),
	}
}

// memberFaults is what clients do that have authenticated.
func memberFaults() []fault {
	return []fault{
		members("members: a frame without a mask", 20, 1, []byte("\x81\x02{}")),
		members("members: reserved bits", 20, 1, raw().add(0xf1, "{}").Bytes()),
		members("members: a message of 16 MB", 4, 1, raw().text(strings.Repeat("x", 16<<20)).Bytes()),
		members("members: a length of 2^62", 20, 1,
			raw().raw(0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4).Bytes()),
		members("members: bad UTF-8", 20, 1, raw().text("\"\xff\xfe\"").Bytes()),
		members("members: fragments without an end", 10, 20_000, raw().raw(0x01, 0x81, 0, 0, 0, 0, 'x').Bytes()),
		members("members: 20,000 pings", 10, 20_000, raw().ping("x").Bytes()),
		members("members: 20,000 requests", 10, 20_000, raw().text(`{"method":"ping","id":1}`).Bytes()),
		members("members: 20,000 subscribes", 10, 20_000,
			raw().text(`{"method":"subscribe","params":{"rooms":["feed"]},"id":1}`).Bytes()),
		members("members: 20,000 joins and leaves", 10, 10_000,
			raw().text(`{"method":"subscribe","params":{"rooms":["other"]},"id":1}`).
				text(`{"method":"unsubscribe","params":{"rooms":["other"]},"id":2}`).Bytes()),
		members("members: rooms without end", 10, 5000,
			raw().text(`{"method":"subscribe","params":{"rooms":["mine:s1","mine:s2","nowhere"]},"id":1}`).Bytes()),
		members("members: JSON of 30,000 brackets", 10, 20,
			raw().text(strings.Repeat("[", 30_000)).Bytes()),
		members("members: close, and go on", 10, 2000, raw().code(1000, "").text("{}").Bytes()),
		deafMembers("members: do not read", 10, 1000, raw().text(
			`{"method":"subscribe","params":{"rooms":["feed"],"since":{"feed":{"ts":1}}},"id":1}`).Bytes()),
	}
}

// strangers lets n connections send bytes, and stay or wait for an answer.
func strangers(name string, n int, send string, stay time.Duration) fault {
	return fault{name, func(x *trial) {
		var held sync.Map
		gone := x.inSlices(n, func() string {
			c, err := net.DialTimeout("tcp", x.node.public, patience)
			if err != nil {
				return err.Error()
			}
			held.Store(c, true)
			_ = c.SetDeadline(time.Now().Add(patience))
			_, _ = io.WriteString(c, send)
			if send != "" && stay == 0 {
				b := make([]byte, 64)
				k, _ := c.Read(b)
				line, _, _ := bytes.Cut(b[:k], []byte("\r\n"))
				c.Close()
				return string(line)
			}
			return "open"
		})
		x.during(stay)
		held.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
		x.note("%s", gone)
	}}
}

// tokens lets n clients come with a bad token.
func tokens(name string, n int, token func(*gateway) string) fault {
	return fault{name, func(x *trial) {
		x.note("%s", x.inSlices(n, func() string {
			c, err := tryDial(x.t, x.node, dialing{query: "?token=" + token(x.node)})
			if err != nil {
				return err.Error()
			}
			return fmt.Sprint(c.awaitClose(patience))
		}))
	}}
}

// members lets n users that have authenticated send the same bytes a number of times, until they are
// closed or all was taken.
func members(name string, n, times int, send []byte) fault {
	return sending(name, n, dialing{}, func(*trial) []byte { return send }, times, false)
}

// deafMembers are members that do not read.
func deafMembers(name string, n, times int, send []byte) fault {
	return sending(name, n, dialing{}, func(*trial) []byte { return send }, times, true)
}

// assault is members with connections of some kind, whose bytes are made when they are needed.
func assault(name string, n int, d dialing, make func(x *trial) []byte, times int) fault {
	return sending(name, n, d, make, times, false)
}

func sending(name string, n int, d dialing, make func(x *trial) []byte, times int, deaf bool) fault {
	return fault{name, func(x *trial) {
		was, send := x.refused(), make(x)
		block := bytes.Repeat(send, 1+min(times, 64<<10/len(send)))
		d := d
		d.query = "?token=" + x.on.token("hostile")
		x.note("%s", x.inSlices(n, func() string {
			c, err := tryDial(x.t, x.node, d)
			if err != nil {
				return err.Error()
			}
			defer c.conn.Close()
			if c.deflate != d.deflate {
				x.t.Error("permessage-deflate was not agreed on")
			}
			if deaf {
				c.reading.Lock()
				defer c.reading.Unlock()
			}
			_ = c.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
			for left := times * len(send); left > 0; left -= len(block) {
				if _, err := c.conn.Write(block[:min(left, len(block))]); err != nil {
					break
				}
			}
			how := "left open"
			testwait.Holds(2*time.Second, func() bool {
				c.mu.Lock()
				defer c.mu.Unlock()
				if c.closed {
					how = fmt.Sprint("closed with ", c.code)
				}
				return c.closed
			})
			return how
		}))
		x.note("%.0f refused by limits", x.refused()-was)
	}}
}

// inSlices does something n times, twenty at a time, and returns how it went how often.
func (x *trial) inSlices(n int, f func() string) string {
	var mu sync.Mutex
	count := map[string]int{}
	for from := 0; from < n; from += 20 {
		onAll(min(20, n-from), func(int) {
			how := f()
			mu.Lock()
			count[how]++
			mu.Unlock()
		})
	}
	var list []string
	for how, n := range count {
		list = append(list, fmt.Sprintf("%d %.60s", n, how))
	}
	return strings.Join(list, ", ")
}
