// Package testwait is how tests wait. They wait for conditions, never for times, so that a busy
// machine makes them slower and not wrong. All packages use it.
//
//   - Until, Holds: a condition that another goroutine or process brings about.
//   - Closed: until a channel is closed.
//   - Pass: time itself, in a bubble of testing/synctest, where it costs nothing.
//   - Pause: time itself, where it is what is tested and nothing can tell of it. Each call
//     says why beside it. Five calls are left, and there may be ten at most.
//
// A test that writes at a rate uses a time.Ticker. A client that is away, slow or silent is so
// while something that is counted goes on: while so many records are published, for example.
package testwait
