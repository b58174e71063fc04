// Package route brings a Kafka record to its rooms: routes, their templates and the decoder.
// It knows no client of Kafka and no reader, only a record's bytes.
//
// Compile turns Routes into a Router, marks the patterns of the catalog that they feed, and
// names every fault and warning (compile.go, land.go, warn.go). A Router does not change after
// that: any number of goroutines and Consumers may read it.
//
// A Decoder takes one record after another (Decoder.Route). One strict pass over the value
// checks it and finds every field that any route of the topic reads (jsonscan). Then each
// route that fits renders its names from templates (template.go, field.go) and adds the
// record to a batch. Bytes are never encoded again: a payload is a span of the value, which
// is copied once when a room takes it. A Decoder belongs to one reader's goroutine, and
// allocates nothing for a record once it is warm.
//
// A record that cannot be routed is Bad: a Reason, which is counted, and a Detail, which is
// made only when it is asked for. One that no route's match names is Unmatched, which is no
// fault. Where a record lies is only checked: what its route's partitioner would put elsewhere
// is delivered, and Decoder.Misplaced says so.
//
// What the decoder hands on holds to what rooms/name.go says of the parts of a frame, live and
// when it is read again: nobody looks at it after that. Fields are never guessed. A field that
// is there twice with different values is a fault, and so are a key that is not of its
// key_format and half of a surrogate pair. A room template whose pattern is private lands in
// that pattern or nowhere (roomTemplate.lands).
//
// BenchmarkDecode is what checking and routing a record takes by itself.
package route
