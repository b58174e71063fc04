// Package shared keeps answers of auth.verify in Redis, so that a token that one node has asked about
// costs the other nodes of a cluster no call.
//
// # What Redis is trusted with
//
// Nothing. A key is an HMAC of the token, under a secret of the gateways. An entry is sealed with
// AES-256-GCM, under a key that is made of that secret and the token (seal.go). Its tag is a MAC over
// the answer and its end, for this token alone. A reader of Redis learns neither tokens nor users, and
// who writes to it can neither make an entry, nor move one to another token, nor let it live longer. An
// entry that does not open is counted, and is none. Only answers that accept a token are stored:
// strangers can make up any number of others.
//
// An entry is good for Config.Keep after its answer at most, on the clocks of the nodes: one that ends
// later than Keep and Skew from now is refused. What it says is judged by the node's own rules each
// time, as an answer of the service is.
//
// # What happens when Redis fails
//
// Two breakers stand before it, one for look-ups and one for stores, since a full Redis still answers
// look-ups. Either opens after maxRow failures in a row, or if half of them fail. While the first one
// is open nobody waits: Look says at once that it knows nothing. Each look-up has Config.Timeout. Run
// tries both commands every tryEvery, also while nobody comes in, so that health tells the truth, and
// so that no client's token is what an open breaker is tried with. What Redis answers is read through a
// guard (guard.go), which ends a connection whose lengths are none that our commands can lead to.
//
// # Who may touch what
//
// Any goroutine may call Look, which waits for Redis, and Put and Stats, which never wait. Put seals an
// entry and leaves it in a queue of maxPuts. Run has two goroutines: one stores what is in the queue, in
// batches, and one tries Redis. Before Run and after it there is nothing to find.
package shared
