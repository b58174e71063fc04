package bench

import "golang.org/x/sys/unix"

// spareDescriptors is what a worker needs besides its clients: pipes, epoll
// sets, Go's own.
const spareDescriptors = 64

// raiseDescriptors raises the soft limit to the hard one. Go does so at start
// for itself, but gives its children the old one.
func raiseDescriptors() {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil && r.Cur < r.Max {
		r.Cur = r.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &r) // what was checked before still holds
	}
}

// checkDescriptors says whether one process of several can hold so many clients.
func checkDescriptors(clients, procs int) error {
	return descriptorsFor(clients, procs, descriptorLimit())
}

// checkDescriptors is for clients on agents too, who say themselves what they can hold.
func (t *Target) checkDescriptors(clients, procs int) error {
	if len(t.Agents.Addrs) > 0 {
		return nil
	}
	return checkDescriptors(clients, procs)
}

// checkOneProcess is checkDescriptors for clients that one process holds, however
// many there are for others; flag says how many they are.
func (t *Target) checkOneProcess(flag string, clients int) error {
	switch most := descriptorLimit() - spareDescriptors; {
	case len(t.Agents.Addrs) > 0: // which say themselves what they can hold
	case clients > most:
		return inputf("%s %d: one process holds them, and has descriptors for %d: ask for fewer, or raise the limit (ulimit -Hn)", flag, clients, most)
	}
	return nil
}

// descriptorLimit is how many a process here may have.
func descriptorLimit() int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		panic("BUG: cannot read the limit of descriptors: " + err.Error()) // a bad argument only
	}
	return int(min(r.Max, 1<<30))
}

func descriptorsFor(clients, procs, limit int) error {
	most := limit - spareDescriptors
	each := (clients + procs - 1) / procs
	if each <= most {
		return nil
	}
	if most <= 0 {
		return inputf("a limit of %d descriptors is too small: raise it (ulimit -Hn)", limit)
	}
	return inputf("%d clients in %d process(es) need %d descriptors each, but the limit is %d, enough for %d clients: use --procs %d, or raise the limit (ulimit -Hn)",
		clients, procs, each+spareDescriptors, limit, most*procs, (clients+most-1)/most)
}
