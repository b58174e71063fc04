package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// momentFaults is what comes at a bad moment, and what is not there any more when it is needed.
func momentFaults() []fault {
	return append([]fault{
		{"process: SIGTERM while all come back", func(x *trial) {
			x.flee()
			x.node.stop(patience)
			x.again()
		}},
		{"process: killed while all come back", func(x *trial) {
			x.flee()
			x.node.cmd.Process.Kill()
			within(x.t, patience, "the end", x.node.exited)
			x.again()
		}},
		{"process: SIGTERM within an outage of Kafka", func(x *trial) {
			x.kafka.cut()
			x.told(`"KafkaConsumer":{"status":"degraded"[^}]*`)
			x.node.stop(patience)
			x.kafka.open()
			x.again()
		}},
		{"process: started within an outage of Kafka", func(x *trial) {
			x.node.stop(patience)
			x.kafka.cut()
			x.start()
			x.struck = time.Now()
			x.told(`"KafkaConsumer":{"status":"(degraded|unhealthy)"[^}]*`)
			x.during(3 * time.Second)
			x.kafka.open()
			x.node.ready()
		}},
		{"process: SIGHUP, and SIGTERM at once", func(x *trial) {
			x.node.cmd.Process.Signal(syscall.SIGHUP)
			x.node.stop(patience)
			x.again()
		}},
		{"process: 200 SIGHUPs while clients come and go", func(x *trial) {
			for i := range 200 {
				x.node.cmd.Process.Signal(syscall.SIGHUP)
				if i%50 == 0 {
					x.front.cut()
					x.front.open()
				}
				x.during(20 * time.Millisecond)
			}
		}},
		{"process: GOMEMLIMIT of 8 MiB, less than it needs", func(x *trial) {
			x.node.stop(patience)
			x.env = append(x.on.env, "GOMEMLIMIT=8MiB")
			x.again()
			x.flee()
			x.during(5 * time.Second)
			x.note("the runtime has %.0f MB", (x.node.metric("go_memstats_sys_bytes")-
				x.node.metric("go_memstats_heap_released_bytes"))/1e6)
			x.node.stop(patience)
			x.env = x.on.env
			x.again()
		}},
		{"process: the disk of its logs is full", func(x *trial) {
			dir, err := smallDisk(x.t.TempDir())
			if err != nil {
				x.skip("cannot mount a small disk: %v", err)
				return
			}
			x.withLogsIn(dir)
			if err := errors.Join(unix.Unmount(dir, 0)); err != nil {
				x.t.Fatalf("cannot unmount: %v", err)
			}
		}},
	}, clockFaults()...)
}

// flee ends all connections, and waits until the first client has come back.
func (x *trial) flee() {
	x.t.Helper()
	came := x.back()
	x.front.cut()
	x.front.open()
	eventually(x.t, patience, "the first comes back", func() bool { return x.back() > came })
}

// smallDisk mounts a file system of 64 KiB.
func smallDisk(dir string) (string, error) {
	return dir, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k")
}

// withLogsIn lets the gateway log to a small disk, which becomes full, and has room again.
func (x *trial) withLogsIn(dir string) {
	x.t.Helper()
	good, err := os.ReadFile(x.file)
	if err != nil {
		x.t.Fatal(err)
	}
	x.node.stop(patience)
	events := filepath.Join(dir, "security.log")
	x.write(strings.Replace(string(good), "log: {", fmt.Sprintf("log: {security: %q, ", events), 1))
	log, err := os.Create(filepath.Join(dir, "tapecast.log"))
	if err != nil {
		x.t.Fatal(err)
	}
	old := x.node
	g := spawnLogging(x.t, log, x.env, "run", "--config", x.file, "--listen", old.public, "--admin", old.admin)
	log.Close()
	g.public, g.admin = old.public, old.admin
	x.mu.Lock()
	x.node = g
	x.mu.Unlock()
	g.ready()
	fill := filepath.Join(dir, "fill")
	if err := os.WriteFile(fill, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		x.t.Fatalf("the disk is not full: %v", err)
	}
	x.struck = time.Now()
	dropped := func() float64 { return g.metric("tapecast_log_dropped_total") }
	eventually(x.t, patience, "lines are dropped, and counted", func() bool { g.badTokens(20); return dropped() > 0 })
	x.flee()
	x.note("%.0f lines were dropped, and counted", dropped())
	if err := os.Remove(fill); err != nil {
		x.t.Fatal(err)
	}
	size := func() int64 {
		info, err := os.Stat(events)
		if err != nil {
			x.t.Fatal(err)
		}
		return info.Size()
	}
	was := size()
	eventually(x.t, patience, "lines are written again", func() bool { g.badTokens(1); return size() > was })
	g.stop(patience)
	x.write(string(good))
	x.again()
}

// clockFaults is what is done to the machine's clock, as the process sees it.
func clockFaults() []fault {
	return []fault{
		clockFault("clock: an hour forward, and right again", (*trial).hourForward),
		clockFault("clock: an hour back, and right again", (*trial).hourBack),
		clockFault("clock: ten hours of steps to and fro", func(x *trial, set func(time.Duration)) {
			for i := range 10 {
				set(time.Duration(1-2*(i%2)) * time.Hour)
				x.during(300 * time.Millisecond)
			}
			x.flee()
		}),
		clockFault("clock: an hour back while all come back", func(x *trial, set func(time.Duration)) {
			x.front.cut()
			set(-time.Hour)
			x.during(2 * time.Second)
			x.front.open()
			x.moment()
		}),
		clockFault("clock: an hour forward within an outage of Kafka", func(x *trial, set func(time.Duration)) {
			x.kafka.cut()
			x.told(`"KafkaConsumer":{"status":"degraded"[^}]*`)
			set(time.Hour)
			x.during(3 * time.Second)
			x.kafka.open()
			x.flows()
		}),
	}
}

// clockFault is a fault that sets the clock of the process ahead, or back.
func clockFault(name string, f func(x *trial, set func(ahead time.Duration))) fault {
	return fault{name, func(x *trial) {
		c, err := x.node.clockwork()
		if err != nil {
			x.skip("cannot set the clock of a process: %v", err)
			return
		}
		f(x, func(ahead time.Duration) {
			x.t.Helper()
			if err := c.set(ahead); err != nil {
				x.t.Fatal(err)
			}
			by := x.node.clockAhead() - ahead
			if by.Abs() > time.Minute {
				x.t.Fatalf("the gateway's clock is %s off what was set", by)
			}
		})
		if err := c.set(0); err != nil {
			x.t.Fatal(err)
		}
	}}
}

func (x *trial) hourForward(set func(time.Duration)) {
	x.t.Helper()
	came, limited := x.back(), x.refused()
	ends := dial(x.t, x.node, dialing{query: "?token=" + tokenFor("short", 30*time.Minute)})
	ends.notice("auto_subscribed")
	set(time.Hour)
	stepped := time.Now()
	if code := ends.awaitClose(patience); code != 4201 {
		x.t.Errorf("a client whose token has expired is closed with %d", code)
	}
	x.note("a token's end: closed after %.1f s", time.Since(stepped).Seconds())
	x.moment()
	x.enters("short", 30*time.Minute, 4201)
	x.enters("long", 2*time.Hour, 0)
	set(0)
	x.moment()
	x.enters("short", 30*time.Minute, 0)
	if n := x.back() - came; n != 0 || x.refused() != limited {
		x.t.Errorf("%d clients had to come back, %v requests were refused", n, x.refused()-limited)
	}
}

func (x *trial) hourBack(set func(time.Duration)) {
	x.t.Helper()
	came, limited := x.back(), x.refused()
	x.node.tryGet("/debug/pprof/cmdline", "Authorization", "Bearer wrong") // logged once a minute
	set(-time.Hour)
	x.moment()
	x.enters("short", 30*time.Minute, 0)
	late := dial(x.t, x.node, dialing{}) // does not authenticate
	if code := late.awaitClose(patience); code != 4004 {
		x.t.Errorf("a client that does not authenticate is closed with %d", code)
	}
	x.during(time.Minute)
	x.node.tryGet("/debug/pprof/cmdline", "Authorization", "Bearer wrong")
	eventually(x.t, patience, "what was said an hour later is said again",
		func() bool { return x.node.saidTimes("internal port: refused") == 2 })
	set(0)
	x.moment()
	if n := x.back() - came; n != 0 || x.refused() != limited {
		x.t.Errorf("%d clients had to come back, %v requests were refused", n, x.refused()-limited)
	}
}

// moment lets three seconds pass, in which the records of that time must come.
func (x *trial) moment() {
	x.t.Helper()
	x.during(3 * time.Second)
	x.flows()
}

// enters connects with a new token, and demands a close code, or 0.
func (x *trial) enters(user string, life time.Duration, want int) {
	x.t.Helper()
	c := dial(x.t, x.node, dialing{query: "?token=" + tokenFor(user, life)})
	defer c.conn.Close()
	if want != 0 {
		if code := c.awaitClose(patience); code != want {
			x.t.Errorf("%s is closed with %d, want %d", user, code, want)
		}
		return
	}
	c.notice("auto_subscribed")
}
