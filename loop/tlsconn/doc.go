// Package tlsconn is the TLS of connections that have no goroutine of their own. crypto/tls does
// the cryptography. This package lends it ciphertext, takes plaintext, keeps what the kernel does
// not take, and runs the handshakes. It knows no poller, loop or message: a connection is an Owner.
//
// # How bytes pass through
//
// The goroutine that reads a socket passes ciphertext to Conn.Received, whose answer (a Step) says
// what to do with it. Before the handshake is over that is nothing: the ciphertext is kept for the
// worker. crypto/tls cannot leave a handshake half done, so it runs on one of a bounded number of
// goroutines (Handshakes), from the client's first complete record on. Others wait, and addresses
// are served in turn. A handshake that waits for its client keeps its goroutine and lets another
// one compute. They give way to the owner's passes, for 200 ms at most (Handshakes.Passes). After a
// handshake its worker reads in the poller's place until it has handed over what came after it
// (Owner.Decrypt).
//
// After that there is no goroutine. The poller decrypts what it reads: Lend, Read until ErrMore,
// Release. The owner encrypts with Write, one record of 16 KB at a time, and the next one only when
// SendRest reports that the ciphertext of the last one is gone. What the kernel did not take is
// Conn.rest, the only buffer that a connection may hold. crypto/tls orders the writes, so the
// poller's answers (to key updates) and the owner's records are never mixed. Goodbye sends
// close_notify, after the close frame.
//
// Where the configuration asks clients for certificates, crypto/tls verifies them on the worker, and
// tells the client by an alert what is wrong. Conn.Certificate returns a good one.
//
// # Which goroutine may touch what
//
// The goroutine that reads calls Received, Lend, Read, Release, Small, Trim and Held. The owner's
// loop calls Write, SendRest and Goodbye. Both may call Waiting and Closed. Conn.mu guards what
// they share, and Handshakes.mu guards the queue. Neither is held while the goroutine waits for the
// other.
//
// # Figures
//
// TLS takes 3.1 KB a connection (1.3; 3.3 KB in 1.2; BenchmarkIdleSecureConn), nearly all of it
// keys and state of crypto/tls. Its read buffers, 4 KB and more, are freed between reads (Trim). A
// handshake costs as much as fifty sends, and costs the client as much again.
package tlsconn
