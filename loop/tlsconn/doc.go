// Package tlsconn is the TLS of connections that have no goroutine of their own. crypto/tls
// does the cryptography; this package lends it ciphertext, takes plaintext, keeps what the
// kernel does not take, and runs the handshakes. It knows no poller, loop or message: its
// owner of a connection is an Owner.
//
// # How bytes pass through
//
// The goroutine that reads a socket gives ciphertext to Conn.Received, whose answer (a Step)
// says what is to be done with it. Before the handshake is over that is nothing: the
// ciphertext is kept for the worker. The handshake is crypto/tls's, which cannot leave it
// half done: it runs on one of a bounded number of goroutines (Handshakes), from the client's
// whole first record on. Further ones wait, addresses in turn. One that waits for its client
// keeps its goroutine and lets another compute. They give way to the owner's passes, for
// 200 ms at most (Handshakes.Passes). When a handshake is over, its worker stands for the
// poller until it has handed over what came behind (Owner.Decrypt).
//
// After that there is no goroutine. The poller decrypts what it reads: Lend, Read until
// ErrMore, Release. The owner encrypts with Write, a record of 16 KB at a time, and the next
// only when SendRest says that the ciphertext of the last is gone. What the kernel did not
// take is Conn.rest, the one buffer that a connection may hold. The writer's order is
// crypto/tls's own, so the poller's answers (to key updates) and the owner's records never
// cross. Goodbye sends close_notify, behind the close frame.
//
// # Which goroutine may touch what
//
// The goroutine that reads calls Received, Lend, Read, Release, Small, Trim and Held; the
// owner's loop Write, SendRest and Goodbye; Waiting and Closed are for both. Conn.mu guards
// what they share, Handshakes.mu the queue; neither is held while the other's goroutine waits.
//
// # Figures
//
// TLS takes 3.1 KB a connection (1.3; 3.3 KB in 1.2; BenchmarkIdleSecureConn), nearly all of
// it crypto/tls's keys and state. Its read buffers, 4 KB and more, are let go of between
// reads (Trim). A handshake costs as much as fifty sends, and the client as much again.
package tlsconn
