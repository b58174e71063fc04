// Package plan says what a gateway will need. Calibrate measures loads and fits a
// Model to what the gateway's CPU and counters say of them: least squares, errors as
// shares, no cost below nothing. A Model's Predict is arithmetic. New searches for the
// fewest nodes that pass no Limit. Check measures loads that the calibration has not
// seen, and compares. Correct has a calibration follow a gateway that runs.
//
// A virtual machine takes up to a fifth more CPU for the same work in one minute than in
// another. So a reference load is measured before and after each point, and points count
// by what a send of the reference took just then. What the calibration says without that
// stands beside it.
//
// Loads are measured by fanouts of package bench, one at a time, by the goroutine that
// calls. A Model is not written once fitted.
package plan
