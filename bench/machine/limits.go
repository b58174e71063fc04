package machine

import (
	"golang.org/x/sys/unix"

	"tapecast/bench/job"
)

// SpareDescriptors is what a worker needs besides its clients: pipes, epoll sets, Go's own.
const SpareDescriptors = 64

// RaiseDescriptors raises the soft limit to the hard one. Go gives its children the old one.
func RaiseDescriptors() {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil && r.Cur < r.Max {
		r.Cur = r.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &r) // on failure the checks before still hold
	}
}

// CheckDescriptors returns an error if one of so many processes cannot hold its clients.
func CheckDescriptors(clients, procs int) error {
	return DescriptorsFor(clients, procs, DescriptorLimit())
}

// DescriptorLimit returns how many descriptors a process here may have.
func DescriptorLimit() int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		panic("BUG: cannot read the limit of descriptors: " + err.Error()) // only a bad argument fails
	}
	return int(min(r.Max, 1<<30))
}

// DescriptorsFor is CheckDescriptors with a given limit.
func DescriptorsFor(clients, procs, limit int) error {
	most := limit - SpareDescriptors
	each := (clients + procs - 1) / procs
	if each <= most {
		return nil
	}
	if most <= 0 {
		return job.Inputf("a limit of %d descriptors is too small: raise it (ulimit -Hn)", limit)
	}
	return job.Inputf("%d clients in %d process(es) need %d descriptors each, but the limit is %d, enough for %d "+
		"clients: use --procs %d, or raise the limit (ulimit -Hn)",
		clients, procs, each+SpareDescriptors, limit, most*procs, (clients+most-1)/most)
}
