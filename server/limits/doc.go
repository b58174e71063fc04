// Package limits holds what clients may cause, and counts what was refused. It knows neither
// connections nor requests: who asks says so by a connection's number, a user's name or an
// address, and what is refused is answered by its caller.
//
// A Limiter has the counts of the moment (Conns, Pending, Users), the pace of messages (Take,
// Verdict: a bucket of 8 bytes in each session), and the budgets of what requests, snapshots
// and bad tokens cost (Charge, Spend, SnapshotBegins, BadToken). A budget is a debt that is
// paid off with time. Debts outlive connections; they are bounded (262,144), swept a shard at
// a time (Sweep), and those that there is no room for are counted (Forgone). Kind names a
// limit, in logs and in tapecast_limited_total: a new limit needs a Kind, its name, and who
// hits it.
//
// Any goroutine may use a Limiter; a lock is held for one look into a map, and there are many.
// Times are ns since the handler was made, by the monotonic clock.
package limits
