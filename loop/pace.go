package loop

import "tapecast/rooms/wire"

// The handler paces requests. This file paces frames without a request: control frames, fragments,
// and everything else that a client can make the poller do without ever sending a whole message.
// Each connection has one account for all of them.
//
// An ordinary client causes next to none: a pong every 25 s, a ping of its own every few seconds, a
// message in fragments now and then. A frame costs the poller about 50 ns, and a ping costs the
// loop a send of 10 µs. So 100 a second take a thousandth of a processor, and are twice the default
// limit on requests. A client that pings ten times a second has piled up 500 after most of a minute
// in which something between stood still. A client above that is read a chunk every tick, after the
// others. A client at twice that is closed. A flood is closed with its first chunk: 16 KB are 2,700
// pings.
const (
	paceTick  = 10 // frames a tick: 100 a second
	paceBurst = 500
	paceFar   = 2 * paceBurst

	// freeFragment is the payload from which a fragment costs nothing here. Its message pays for
	// it, whose length and number are bounded.
	freeFragment = 64
	// freeRatio is up to how many times its size a message may inflate for free. Beyond that each 4
	// KB counts as a frame. JSON reaches 20.
	freeRatio = 32

	// perFrame small TLS records may come with each frame, since clients may send headers apart.
	perFrame = 4
	// recordCost is what each further record counts for: a key update takes as long as some pings.
	recordCost = 4
)

// Pace says of what a client has sent too much.
type Pace uint8

// What is paced.
const (
	PaceControl   Pace = iota // pings and pongs
	PaceFragments             // fragments of less than 64 bytes
	PaceInflated              // messages that inflate to more than 32 times their size
	PaceRecords               // TLS records that brought no frame: key updates, empty ones
	Paces
)

var paceReasons = [Paces]string{
	"too many control frames", "too many small fragments", "messages that inflate too much", "too many TLS records",
}

// earn subtracts what the time since the last input allows.
func (c *Conn) earn() {
	if now := tick(c.heard.Load()); now != c.earned {
		c.paid -= uint32(min(uint64(c.paid), uint64(now-c.earned)*paceTick))
		c.earned = now
	}
}

// pay counts n frames. It returns false if they were far too many: the connection is then
// being closed.
func (c *Conn) pay(what Pace, n uint32) bool {
	if c.paid += n; c.paid <= paceFar {
		return true
	}
	if c.signs.setDeaf() {
		return false
	}
	c.reader.End()
	c.loop.post(event{kind: evClose, conn: c, code: wire.ClosePolicy, data: []byte(paceReasons[what])})
	c.loop.handler.Flooded(c, what)
	return false
}

// payRecords charges the connection for small TLS records beyond those that may come with frames.
func (c *Conn) payRecords(n, frames uint32) {
	if free := frames * perFrame; n > free {
		c.pay(PaceRecords, (n-free)*recordCost)
	}
}
