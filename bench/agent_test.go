package bench

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"tapecast/bench/job"
	"tapecast/bench/pool"
)

// lent is an agent in a process of its own. It shares this process's wall clock. Where the
// machine allows it, it has another monotonic clock.
func lent(t *testing.T, key string) (addr string, ahead bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"unshare", "--time", "--fork", "--kill-child", "--monotonic", "1000", self, "agent", key}
	if ahead = exec.Command("unshare", "--time", "--fork", "true").Run() == nil; !ahead {
		t.Log("time namespaces cannot be made here: the agent has our clock")
		args = args[6:]
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close() // it ends with its input
		if err := cmd.Wait(); err != nil {
			t.Errorf("the agent ended with %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line), ahead
}

// runAgent is the agent's process.
func runAgent(key string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	os.Stdout.WriteString(ln.Addr().String() + "\n")
	ctx, cancel := context.WithCancel(context.Background())
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return pool.Agent(ctx, ln, key, nil)
}

// A run with clients on two agents, one of them with another clock, measures the same as a
// run with clients here.
func TestAgents(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	one, ahead := lent(t, "k")
	two, _ := lent(t, "k")
	g := newGate(t, "secret")
	cfg := g.fanout()
	cfg.Target.Agents = job.Agents{Addrs: []string{one, two}, Key: "k"}
	cfg.Procs = 0
	res, err := Fanout(t.Context(), cfg)
	var invalid *job.InvalidError // a busy machine makes the bench late, which is not tested here
	if err != nil && !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	run := res.Runs[0]
	if run.Want != 20*120 || run.Unique != run.Want ||
		run.Lost+run.Late+run.Doubled+run.Invalid+run.Foreign+run.Breaks != 0 {
		t.Fatalf("%+v", run)
	}
	// The 1,000 s between the clocks must not be seen.
	if run.Latency.Count != 2000 || run.Latency.Max > 5000 || run.ClientLag.Max > 5000 {
		t.Errorf("latency %+v, lag %+v (clocks differ: %v)", run.Latency, run.ClientLag, ahead)
	}
	if run.ClockError <= 0 || run.ClockError > 100 {
		t.Errorf("the clocks are said to be off by at most %v ms", run.ClockError)
	}
}

func TestAgentRefuses(t *testing.T) {
	addr, _ := lent(t, "k")
	f := func(want, addr, key string, clients int) {
		t.Helper()
		w, err := pool.DialAgent(t.Context(), addr, key, clients)
		if w != nil {
			w.Stop()
		}
		if !errors.As(err, new(*job.InputError)) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not %q", err, want)
		}
	}
	f("--agent-key-file", addr, "other", 1)
	f("--agent-key-file", addr, "", 1)
	f("--procs", addr, "k", 1<<30)
	f("start tapecast-bench agent", "127.0.0.1:1", "k", 1)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, `{"op":"work"}`)
	b, _ := io.ReadAll(conn)
	if !strings.Contains(string(b), "not an operation of an agent") {
		t.Errorf("work without a key is answered %q", b)
	}
}

// Each time in an order or an answer is by the clock of the process that reads it.
func TestClocksOfOrders(t *testing.T) {
	o := job.Order{Op: "run", Deadline: 1, From: 2, To: 3, Timed: 4, Timing: job.Timing{Anchor: 50}}
	got := o.On(100, 7)
	if got.Deadline != 101 || got.From != 102 || got.To != 103 || got.Timed != 104 || got.Timing.Anchor != -50 ||
		got.Timing.Skew != 7 {
		t.Errorf("%+v", got)
	}
	if o.From != 2 || o.Timed != 4 || o.Timing.Anchor != 50 {
		t.Error("the order that others get has changed, too")
	}
	if got := (job.Order{Op: "finish"}).On(100, 7); got.Deadline != 0 || got.Timing.Anchor != 0 {
		t.Errorf("no time has become %+v", got)
	}
	a := job.Answer{Results: &job.Tally{Storm: &job.StormTally{At: 108, Last: 110}}}
	if a.Back(100); a.Results.Storm.At != 8 || a.Results.Storm.Last != 10 {
		t.Errorf("%+v", a.Results.Storm)
	}
}
