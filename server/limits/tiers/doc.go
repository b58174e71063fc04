// Package tiers holds the rows of limits that the topic of limits.tiers_topic has, over those of the
// configuration. It knows no Kafka: an ingest.Replica reads the topic and gives its records to a List,
// which gives all rows together to a limits.Limiter.
//
// A key is the name of a tier. A value is a JSON object with the keys of a row of limits.tiers, and
// config.Config.TierRow reads it. A record without a value leaves the tier what the configuration has for
// it. Of one key the newest record counts: the last one of a partition, and between partitions, which only
// happens once partitions were added, the one with the newer timestamp.
//
// A record that does not hold leaves its tier as it was, and counts as bad until a newer record of its key
// is good. A name holds only while the Limiter has a number for it, of which there are 127 in a process.
// A configuration that is read again changes what rows do not set, so that all of them are read again by
// it. If one does not fit any more, it stays as it was and counts as bad.
//
// While the topic is read from its beginning again, which a Replica does when it is in doubt, another table
// is filled, and replaces the first one when it is whole. A topic that was made again has what it has then.
//
// Begin, Record, Whole and Again are called by one goroutine, the reader's; any may call the other methods.
// List.mu is held while rows are made and given to the Limiter, which takes no longer than some
// microseconds a row.
package tiers
