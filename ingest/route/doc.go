// Package route finds the rooms of a Kafka record: routes, their templates and the decoder.
// It sees only a record's bytes. It knows neither Kafka's clients nor the readers.
//
// Compile turns Routes into a Router, marks the patterns of the catalog that they feed, and
// names every fault and warning (compile.go, land.go, warn.go). A Router does not change after
// that: any number of goroutines and Consumers may read it.
//
// A Decoder takes one record after another (Decoder.Route). One strict pass over the value
// checks it and finds every field that any route of the topic reads (jsonscan). Then each
// route that matches renders its names from templates (template.go, field.go) and adds the
// record to a batch. Bytes are never encoded again: a payload is a span of the value. The
// value is copied once, when a room takes it. A Decoder belongs to one reader's goroutine, and
// allocates nothing for a record once its buffers are warm.
//
// A record that cannot be routed is Bad. It has a Reason, which is counted, and a Detail, which
// is built only on demand. A record that no route's match names is Unmatched, which is not a
// fault. The partition of a record is only checked: a record in another partition than its
// route's partitioner says is delivered all the same, and sets Decoder.Misplaced.
//
// Every record that the decoder hands on keeps the rules of rooms/name.go for the parts of a
// frame, live and when it is read again. Nothing checks it after that. The decoder never
// guesses. A field that occurs twice with different values is a fault. So are a key that is not
// of its key_format, and half of a surrogate pair. A room template whose pattern is private
// gives rooms of that pattern or none (roomTemplate.lands).
//
// BenchmarkDecode measures checking and routing of one record.
package route
