// Package link joins two network namespaces of one machine with a delay between them,
// so that clients and gateway are as far apart as on a real network. Two goroutines a
// direction carry packets; they end with the context.
package link
