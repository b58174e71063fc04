package pool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"tapecast/bench/job"
	"tapecast/bench/machine"
)

// Workers is a set of worker processes that share one job. Orders go to all of
// them at once. One goroutine at a time uses it.
type Workers struct {
	workers []*Worker
	Clients int
}

// Worker is one process, told what to do through its standard input, here or by way
// of an agent.
type Worker struct {
	In      io.WriteCloser
	out     io.Reader
	end     func() // once in is closed
	enc     *json.Encoder
	dec     *json.Decoder
	first   int // number of its first user
	Clients int

	// Of an agent's machine, in ns: how far its clocks are ahead, and how much that may be off.
	ahead, skew, clockError int64
}

// Spawn has start begin a process of this program with a hidden subcommand.
func Spawn(ctx context.Context, subcommand string, start func(*exec.Cmd) error) (*Worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find this program: %w", err)
	}
	w, cmd := &Worker{}, exec.CommandContext(ctx, self, subcommand)
	cmd.Stderr = os.Stderr
	// A Ctrl-C is for this process alone; it ends the others.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if w.In, err = cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("cannot make a pipe to a %s: %w", subcommand, err)
	}
	if w.out, err = cmd.StdoutPipe(); err != nil {
		return nil, fmt.Errorf("cannot make a pipe from a %s: %w", subcommand, err)
	}
	if err := start(cmd); err != nil {
		return nil, fmt.Errorf("cannot start a %s: %w", subcommand, err)
	}
	w.end = func() {
		late := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // what it did it has answered; how it ends changes nothing
		late.Stop()
	}
	w.enc, w.dec = json.NewEncoder(w.In), json.NewDecoder(w.out)
	return w, nil
}

// Stop ends the process and waits for it: it ends when its input does.
func (w *Worker) Stop() {
	_ = w.In.Close()
	w.end()
}

// Ask sends one value and reads the answer.
func (w *Worker) Ask(q, a any) error {
	if err := w.enc.Encode(q); err != nil {
		return fmt.Errorf("cannot tell a worker what to do: %w", err)
	}
	if err := w.dec.Decode(a); err != nil {
		return fmt.Errorf("a worker ended without an answer: %w", err)
	}
	return nil
}

// Start starts procs processes that share job's clients.
func Start(ctx context.Context, j job.Job, procs int) (*Workers, error) {
	c := &Workers{Clients: j.Clients}
	first, rest := j.First, j.Clients
	j.Base = first
	for k := range procs {
		j.First, j.Clients = first, rest/(procs-k)
		first += j.Clients
		rest -= j.Clients
		w, err := launch(ctx, j, k)
		if err != nil {
			c.Stop()
			return nil, err
		}
		c.workers = append(c.workers, w)
		w.first, w.Clients = j.First, j.Clients
		var a job.Answer
		if err := w.Ask(j, &a); err != nil {
			c.Stop()
			return nil, err
		}
		if a.Err != "" {
			c.Stop()
			return nil, job.Inputf("%s", a.Err)
		}
	}
	return c, nil
}

// Stop ends all processes, and waits for them.
func (c *Workers) Stop() {
	var wg sync.WaitGroup
	for _, w := range c.workers {
		wg.Go(w.Stop)
	}
	wg.Wait()
	c.workers = nil
}

// Ask sends the orders that of makes for each worker to all of them at once,
// and returns their answers.
func (c *Workers) Ask(of func(*Worker) job.Order) ([]job.Answer, error) {
	answers := make([]job.Answer, len(c.workers))
	var all errgroup.Group
	for k, w := range c.workers {
		all.Go(func() error {
			err := w.Ask(of(w).On(w.ahead, w.skew), &answers[k])
			if err == nil && answers[k].Err != "" {
				err = errors.New(answers[k].Err)
			}
			answers[k].Back(w.ahead)
			return err
		})
	}
	return answers, all.Wait() // one reason is enough
}

// TellAll sends one order to all workers at once, and returns their answers.
func (c *Workers) TellAll(o job.Order) ([]job.Answer, error) {
	return c.Ask(func(*Worker) job.Order { return o })
}

// connectTimeout is how long all of the workers' clients together may take to join.
const connectTimeout = 3 * time.Minute

// Connect brings in the first clients of the workers, or all of them.
func (c *Workers) Connect(clients int) (job.Status, error) {
	deadline := machine.MonotonicIn(connectTimeout)
	answers, err := c.Ask(func(w *Worker) job.Order {
		return job.Order{Op: "connect", Clients: c.share(w, clients), Deadline: deadline}
	})
	return sum(answers), err
}

// share is how many of the first clients of the workers a worker has.
func (c *Workers) share(w *Worker, clients int) int { return clients * w.Clients / max(c.Clients, 1) }

// Users calls each for the users that connect(to) brings in after connect(from).
func (c *Workers) Users(from, to int, each func(user string) error) error {
	for _, w := range c.workers {
		for n := c.share(w, from); n < c.share(w, to); n++ {
			if err := each(job.UserName(w.first + n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Leave closes all connections of the workers by the closing handshake.
func (c *Workers) Leave() error {
	_, err := c.TellAll(job.Order{Op: "close", Deadline: machine.MonotonicIn(connectTimeout)})
	return err
}

// Status adds up how the clients of all workers are.
func (c *Workers) Status() (job.Status, error) {
	answers, err := c.TellAll(job.Order{Op: "status"})
	return sum(answers), err
}

// Run begins a run.
func (c *Workers) Run(p job.Timing) error {
	_, err := c.TellAll(job.Order{Op: "run", Timing: p})
	return err
}

// Finish returns what the clients got once all have total messages, and those of
// the further feeds, or after the time given.
func (c *Workers) Finish(total int64, atMost time.Duration, further ...int64) (*job.Tally, error) {
	t, _, err := c.FinishAll(total, atMost, further...)
	return t, err
}

// FinishAll is finish, and each worker's answer with its last interval.
func (c *Workers) FinishAll(total int64, atMost time.Duration, further ...int64) (*job.Tally, []job.Answer, error) {
	answers, err := c.TellAll(job.Order{Op: "finish", Total: total, Totals: further,
		Deadline: machine.MonotonicIn(atMost)})
	if err != nil {
		return nil, nil, err
	}
	t := job.NewTally()
	for _, a := range answers {
		t.Add(a.Results)
	}
	return t, answers, nil
}

func sum(answers []job.Answer) job.Status {
	s := job.Status{Handshake: job.NewHist()}
	for _, a := range answers {
		s.Joined += a.Status.Joined
		s.Gone += a.Status.Gone
		s.Others += a.Status.Others
		if a.Status.Handshake != nil {
			s.Handshake.Merge(a.Status.Handshake)
		}
	}
	return s
}

// Latency returns the latencies since it was asked last.
func (c *Workers) Latency() (*job.Hist, error) {
	answers, err := c.TellAll(job.Order{Op: "latency"})
	h := job.NewHist()
	for _, a := range answers {
		if a.Latency != nil {
			h.Merge(a.Latency)
		}
	}
	return h, err
}
