package bench

import "fmt"

// InputError is a fault of what was asked for, or of where it was asked: a
// target that is down, a token that is refused, more clients than descriptors.
// Nothing was measured.
type InputError struct{ msg string }

func (e *InputError) Error() string { return e.msg }

func inputf(format string, args ...any) error { return &InputError{fmt.Sprintf(format, args...)} }

// InvalidError is a run that was made but says nothing about the gateway: the
// bench itself was the bottleneck.
type InvalidError struct{ msg string }

func (e *InvalidError) Error() string { return e.msg }

// FaultError is a run in which messages were lost, doubled, out of order, torn
// or not the ones that were sent.
type FaultError struct{ msg string }

func (e *FaultError) Error() string { return e.msg }
