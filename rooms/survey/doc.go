// Package survey has what asks goroutines that own something for figures that take a
// walk: which members lag, which rooms have the most members. A Survey is one such
// question to one goroutine. The goroutine answers in steps, between its other work, and
// whoever asks has a bound on his patience: one that stands answers nothing, and others'
// answers must not wait for it. Top keeps the greatest of what such a walk finds.
//
// The package imports nothing of ours: loops and appenders are asked, server asks.
package survey
