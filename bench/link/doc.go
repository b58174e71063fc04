// Package link joins two network namespaces of one machine with a delay between them, so
// that clients and gateway are as far apart as on a real network. Two goroutines for each
// direction carry packets. They end with the context.
package link
