package job

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"syscall"
)

// InputError is a fault in what was asked for, or in the target: a target that is
// down, a token that is refused, more clients than descriptors. Nothing was measured.
type InputError struct{ msg string }

func (e *InputError) Error() string { return e.msg }

// Inputf returns an InputError.
func Inputf(format string, args ...any) error { return &InputError{fmt.Sprintf(format, args...)} }

// InvalidError is a finished run that proves nothing, because the bench itself was the bottleneck.
type InvalidError struct{ msg string }

func (e *InvalidError) Error() string { return e.msg }

// Invalidf returns an InvalidError.
func Invalidf(format string, args ...any) error { return &InvalidError{fmt.Sprintf(format, args...)} }

// FaultError is a run with messages lost, doubled, out of order, torn, or not those sent.
type FaultError struct{ msg string }

func (e *FaultError) Error() string { return e.msg }

// Faultf returns a FaultError.
func Faultf(format string, args ...any) error { return &FaultError{fmt.Sprintf(format, args...)} }

// ReasonOf returns the reason of a file error without the file's name.
func ReasonOf(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// RootOf returns the cause at the bottom of an error of net/http, as text.
func RootOf(err error) string {
	var e syscall.Errno
	var u *url.Error
	var dns *net.DNSError
	switch {
	case errors.As(err, &e):
		return e.Error()
	case errors.As(err, &dns):
		return dns.Error()
	case errors.As(err, &u):
		return u.Err.Error()
	}
	return err.Error()
}
