// Package survey asks goroutines for figures that take a walk over what they own, such as which
// members lag or which rooms have the most members. A Survey is one such question to one goroutine.
// The goroutine answers in steps, between its other work. The asker waits only for a bounded time,
// so a goroutine that stands still does not delay the answers of others. Top keeps the greatest
// values that a walk finds.
//
// The package imports nothing of ours. Loops and appenders are asked, and server asks.
package survey
