// Package testwait is how tests wait. They wait for conditions, never for times, so that a busy
// machine makes them slower and not wrong. All packages use it. The three sleeps that tests need
// are here, each with its reason.
//
//   - Until, Holds: a condition that another goroutine or process brings about.
//   - Closed: until a channel is closed.
//   - Pass: time itself, in a bubble of testing/synctest, where it costs nothing.
//   - Pause: the time that a client is away, slow or silent, which is what is tested. Nothing
//     is awaited by it.
//
// A test that writes at a rate uses a time.Ticker.
package testwait
