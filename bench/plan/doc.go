// Package plan predicts what a gateway will need. Calibrate measures loads and fits a
// Model to the gateway's CPU and counters. The fit is least squares with errors as shares,
// and no cost is negative. A Model's Predict is arithmetic. New searches for the fewest
// nodes that exceed no Limit. Check measures loads that the calibration has not seen, and
// compares. Correct adjusts a calibration to a gateway that serves real clients.
//
// A virtual machine takes up to a fifth more CPU for the same work in one minute than in
// another. So a reference load is measured before and after each point. The point's CPU is
// divided by what a send of the reference took just then. Reports show the prediction
// without that correction too.
//
// Loads are measured by fanouts of package bench, one at a time, on the goroutine that
// calls. A Model does not change once it is fitted.
package plan
