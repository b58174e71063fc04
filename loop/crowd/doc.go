// Package crowd decides which connection gives way: it finds the oldest connection of the address
// that has the most. It knows nothing of sockets. Each set belongs to its owner, whose lock guards
// it. An operation takes time in the logarithm of the number of addresses.
package crowd
