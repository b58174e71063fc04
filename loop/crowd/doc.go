// Package crowd decides who gives way: of a set of connections it finds the oldest one of the
// address that has the most of them. It knows nothing of sockets; each set belongs to its
// owner, whose lock guards it. A step costs the logarithm of the addresses.
package crowd
