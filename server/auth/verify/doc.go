// Package verify asks a service of the operator whether a token is good, and whose it is (auth.verify).
//
// A Service makes one call for a token, however many clients wait for its answer, and 64 calls at a
// time. Further tokens wait in the order in which they came. Each client is answered within MaxWait,
// the queue included. What may wait is bounded, in number and in bytes.
//
// 200 accepts a token, and 401 and 403 refuse it. With 403 a new token of the same user would be
// refused too. Everything else means that it cannot be checked now (ErrAway), and never that it is
// bad. A breaker opens when the service fails (breaker.go), and nobody waits while it is open. After
// openFor it is half-open: Run sends the last token that was answered once more, so that recovery
// needs no client. Refusals are answers, not failures. An answer that says nothing of a token opens no
// breaker: its token may be made up. After maxRow in a row Run asks again about a token that was answered
// before, and health tells of them if that one gets no better answer.
//
// Check returns at once and may be called by any goroutine. It starts a goroutine for a call, which
// calls those that wait, one after the other. They must not block. Run ends them: when its context
// is done, calls are cancelled, those that wait are told ErrAway, and Check returns false.
package verify
