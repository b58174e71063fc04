package e2e

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// topicFaults is what is done to a topic, on any Kafka.
func topicFaults() []fault {
	return []fault{
		{"a topic: made again", func(x *trial) { x.still(x.remade) }},
		{"a topic: records deleted up to the end", func(x *trial) {
			x.still(func() {
				x.compare()
				at := ends(x.k.read(x.t, "feed"))
				x.k.deleteRecords(x.t, "feed", at)
				for _, v := range x.all {
					v.restart("feed", at)
				}
			})
		}},
		{"a topic: records deleted before they are read", func(x *trial) {
			x.node.freeze(func() {
				x.during(3 * time.Second)
				x.still(func() {
					x.at = ends(x.k.read(x.t, "feed"))
					x.k.deleteRecords(x.t, "feed", x.at)
				})
			})
			// What is not in Kafka any more is lost to everybody, and each client is told of it.
			x.each("a gap up to the first record that is left", "feed", func(r *room) bool {
				for p, off := range x.at {
					if r.seenAt(p) < off {
						return false
					}
				}
				return r.gaps > 0
			})
			x.still(func() {
				at := ends(x.k.read(x.t, "feed"))
				x.each("the end", "feed", func(r *room) bool {
					for p, off := range at {
						if r.seenAt(p) < off {
							return false
						}
					}
					return true
				})
				for _, v := range x.all {
					v.restart("feed", at)
				}
			})
			x.note("each client was sent a gap")
		}},
	}
}

// lied is an error that the broker answers fetches with, though it is not so.
func lied() []fault {
	return []fault{
		answered("kafka: offsets out of range", 5, kerr.OffsetOutOfRange),
		answered("kafka: not authorized", 5, kerr.TopicAuthorizationFailed),
		answered("kafka: offset not available", 8, kerr.OffsetNotAvailable),
		answered("kafka: unknown topic id", 5, kerr.UnknownTopicID),
		harmed("kafka: slow fetches, 6 s", toKafka, 15*time.Second,
			func(p *toxic) { p.add("latency", "down", `"latency":6000`) }, ""),
	}
}

// each waits until something holds for a room at all survivors.
func (x *trial) each(what, name string, ok func(r *room) bool) {
	x.t.Helper()
	for _, v := range x.all {
		eventually(x.t, 2*patience, v.user+": "+what, func() bool {
			is := false
			return v.room(name, func(r *room) { is = ok(r) }) && is
		})
	}
}

// remade deletes a topic and creates it again. The clients are told, and get the new one from its first
// record.
func (x *trial) remade() {
	x.t.Helper()
	x.compare()
	resets := 0
	x.all[0].room("feed", func(r *room) { resets = r.resets })
	x.k.deleteTopic(x.t, "feed")
	x.k.topic(x.t, "feed", 4)
	x.w = x.k.producer(x.t, "message.timeout.ms", 600_000) // the old one may still count what it sent
	x.t.Cleanup(func() { <-x.ended })
	x.each("reset", "feed", func(r *room) bool { return r.resets > resets })
	for _, v := range x.all {
		v.restart("feed", map[int32]int64{})
	}
}
