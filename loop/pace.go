package loop

import "tapecast/rooms/wire"

// The handler paces requests. This is for frames that carry no request: control frames,
// fragments, and everything else that a client can make the poller do without ever sending a
// whole message. One account of each connection pays for all of them.
//
// An ordinary client causes next to none: a pong every 25 s, a ping of its own every few
// seconds, a message in fragments now and then. A frame costs the poller some 50 ns, and a
// ping costs the loop a send of 10 us. So 100 a second are a thousandth of a processor, and
// twice what requests may be by default. A client that pings ten times a second has piled up
// 500 when something between stood still for most of a minute. A client that is over that is
// read a chunk every tick, behind the others. One that is as far over again is closed. A
// flood is, with its first chunk: 16 KB are 2,700 pings.
const (
	paceTick  = 10 // frames a tick: 100 a second
	paceBurst = 500
	paceFar   = 2 * paceBurst

	// freeFragment is the payload at which a fragment costs nothing here: its message pays for
	// it, whose length and number are bounded.
	freeFragment = 64
	// freeRatio is how many times its size a message may inflate to for free. Beyond that each
	// 4 KB counts as a frame. JSON reaches 20.
	freeRatio = 32

	// perFrame small TLS records may come with each frame: clients write headers apart.
	perFrame = 4
	// recordCost is what one more counts for: its key updates take as long as some pings.
	recordCost = 4
)

// Pace says what a client had too much of.
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

// earn subtracts what the time since the last input has paid for.
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
	c.loop.post(event{kind: evFault, conn: c, code: wire.ClosePolicy, data: []byte(paceReasons[what])})
	c.loop.handler.Flooded(c, what)
	return false
}

// payRecords has the connection pay for small TLS records beyond those that go with frames.
func (c *Conn) payRecords(n, frames uint32) {
	if free := frames * perFrame; n > free {
		c.pay(PaceRecords, (n-free)*recordCost)
	}
}
