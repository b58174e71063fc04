// Package revoked holds which users and tokens are revoked, and judges tokens by that. It knows no
// Kafka: an ingest.Replica reads the topic of auth.revocations and gives its records to a List.
//
// # Records
//
// A key is user:ID, jti:ID or *. A value is a JSON object. With {"before": ms} it refuses the tokens
// of that user, that token, or all tokens, if they were issued before that time (ms since 1970). A
// token that does not say when it was issued, such as an opaque one, is as old as can be. Without
// "before" it refuses the user, or the token, altogether. "*" needs a time. A record without a value
// lifts what its key revoked. Other fields of the object are for people, and are ignored.
//
// A record that cannot be understood may be a revocation. If its key can be, the user or the token is
// refused altogether. Otherwise nothing is refused that was not before. In both cases the record
// counts as bad, and health names it, until a newer record of its key is good.
//
// Of one key the newest record counts. Within a partition that is the last one. Between partitions,
// which only happens once partitions were added, it is the one with the newer timestamp, and of two
// with the same one the stricter.
//
// # Who may touch what
//
// Begin, Record, Whole and Again are called by one goroutine, the reader's. It alone writes the table
// that tokens are judged by, under List.mu, and another table while the topic is read from its
// beginning. So nothing is refused or lifted by what an old record says in passing. Any goroutine may
// call the other methods. Judge takes a read lock for one to three look-ups in maps. Hold that lock,
// and no other, while it is called; the writers take no further lock.
//
// Names of users are kept whole. Of the jti a hash of 64 bits with a secret seed is kept, here and at
// each connection. Two of them are the same once in 2^64 pairs, which nobody can aim at.
package revoked
