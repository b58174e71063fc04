// Package machine is what the bench needs of the kernel: CLOCK_MONOTONIC and exact
// sleeps, a thread's priority, the processors of a process, CPU time and descriptors. All
// processes of a run share CLOCK_MONOTONIC, so times cross pipes as plain numbers.
package machine
