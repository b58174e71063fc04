package e2e

import (
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// processFaults is what is done to the process.
func processFaults() []fault {
	return []fault{
		{"process: killed", func(x *trial) {
			x.node.cmd.Process.Kill()
			within(x.t, patience, "the end", x.node.exited)
			x.again()
		}},
		{"process: killed while it starts, twice", func(x *trial) {
			x.node.cmd.Process.Kill()
			within(x.t, patience, "the end", x.node.exited)
			for range 2 {
				x.start()
				x.node.cmd.Process.Kill()
				within(x.t, patience, "the end", x.node.exited)
			}
			x.again()
		}},
		{"process: SIGTERM", func(x *trial) { x.node.stop(patience); x.again() }},
		{"process: SIGTERM while it starts", func(x *trial) {
			x.node.stop(patience)
			x.start()
			x.node.stop(patience)
			x.again()
		}},
		{"process: SIGTERM twice", func(x *trial) { x.signalledInDrain(syscall.SIGTERM) }},
		{"process: SIGHUP within a drain", func(x *trial) { x.signalledInDrain(syscall.SIGHUP) }},
		{"process: stopped for 6 s", func(x *trial) { x.node.suspend(6 * time.Second) }},
		{"process: stopped ten times for 300 ms", func(x *trial) {
			for range 10 {
				x.node.suspend(300 * time.Millisecond)
				x.during(200 * time.Millisecond)
			}
		}},
		{"process: two SIGHUPs at once", func(x *trial) {
			for range 2 {
				x.node.cmd.Process.Signal(syscall.SIGHUP)
			}
			x.during(time.Second)
		}},
		{"process: a reload with a fault", (*trial).reloadsFault},
		{"process: out of descriptors", (*trial).lacksDescriptors},
		{"process: GOMEMLIMIT of 40 MiB", func(x *trial) { x.runsWith("GOMEMLIMIT=40MiB") }},
		{"process: one processor", func(x *trial) { x.runsWith("GOMAXPROCS=1") }},
	}
}

func (x *trial) reloadsFault() {
	x.t.Helper()
	good, err := os.ReadFile(x.file)
	if err != nil {
		x.t.Fatal(err)
	}
	x.write(string(good) + "\nbogus: 1\n")
	x.node.cmd.Process.Signal(syscall.SIGHUP)
	said := x.node.waitLog(patience, "cannot reload: the configuration has faults", nil)
	x.note("%v", said["error"])
	x.write(string(good))
}

func (x *trial) lacksDescriptors() {
	x.t.Helper()
	pid := x.node.cmd.Process.Pid
	var was unix.Rlimit
	low := unix.Rlimit{Cur: uint64(x.node.descriptors()) + 2, Max: 20_000}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &low, &was); err != nil {
		x.t.Fatal(err)
	}
	// More than there are descriptors for. They stay until the last has come: those that go make room. Then
	// they go, since /health takes a descriptor too.
	var mu sync.Mutex
	var in []*client
	x.note("%s", x.inSlices(40, func() string {
		c, err := tryDial(x.t, x.node, dialing{within: 2 * time.Second})
		if err != nil {
			return "refused"
		}
		mu.Lock()
		in = append(in, c)
		mu.Unlock()
		return "let in"
	}))
	for _, c := range in {
		c.conn.Close()
	}
	x.told(`"detail":"connections cannot be accepted`)
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &was, nil); err != nil {
		x.t.Fatal(err)
	}
}

// runsWith starts the gateway again with a variable of its environment, for a while.
func (x *trial) runsWith(env string) {
	x.t.Helper()
	x.node.stop(patience)
	x.env = append(x.env, env)
	x.again()
	x.during(3 * time.Second)
	x.node.stop(patience)
	x.env = nil
	x.again()
}

// signalledInDrain stops the gateway, and sends another signal while it drains.
func (x *trial) signalledInDrain(s os.Signal) {
	x.t.Helper()
	x.node.cmd.Process.Signal(syscall.SIGTERM)
	x.node.waitLog(patience, "draining", nil)
	x.node.cmd.Process.Signal(s)
	within(x.t, patience, "the end", x.node.exited)
	x.again()
}

// again starts the gateway, and waits until it is ready.
func (x *trial) again() {
	x.t.Helper()
	x.start()
	x.node.ready()
}

// knockFor connects, and says how that went.
func knockFor(g *gateway, within time.Duration) string {
	c, err := tryDial(g.t, g, dialing{within: within})
	if err != nil {
		return "refused"
	}
	c.conn.Close()
	return "let in"
}

func (x *trial) write(yaml string) {
	x.t.Helper()
	if err := os.WriteFile(x.file, []byte(yaml), 0o600); err != nil {
		x.t.Fatal(err)
	}
}
