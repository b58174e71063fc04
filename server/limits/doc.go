// Package limits bounds what clients may cause, and counts what was refused. It knows neither
// connections nor requests. Its caller names a client by a connection's number, a user's name or an
// address, and answers what is refused.
//
// A Limiter has the current counts (Conns, Pending, Users: connections and rooms by user, and
// Anonymous: those without a user, by address) and the pace of messages (Take, Verdict: a bucket of 8
// bytes in each session). It also has the budgets for the cost of requests, snapshots and bad tokens
// (Charge, Spend, SnapshotBegins, BadToken). A budget is a debt that is paid off with time. Debts
// outlive connections. They are bounded (262,144) and swept one shard at a time (Sweep), and those
// beyond the bound are counted (Forgone). Kind names a limit, in logs and in tapecast_limited_total.
// Connects counts clients that come, by address and all together, before they are connections.
//
// Limits of a user and of its connections are in rows, one for each tier (Row, SetTiers). A session
// holds the number of its tier and takes the row for each request, so that a row that is replaced
// holds at once. Only BytesPerSecond is kept by the loop (loop.Engine.Measure).
//
// A new limit needs a Kind, its name, and code that hits it. That code is here if the limit is on
// what a user, an address or a request costs, and in package loop (gate.go, pace.go, input.go,
// incoming.go) if it is on sockets, bytes or frames.
//
// Any goroutine may use a Limiter. A lock is held for one look into a map, and there are many
// locks. Times are ns since the Limiter was made, by the monotonic clock.
package limits
