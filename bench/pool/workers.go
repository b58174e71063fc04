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

// Workers is a set of worker processes that share one job.
type Workers struct {
	workers []*Worker
	Clients int
}

// Worker is one process. Its orders come through its standard input, or through an agent.
type Worker struct {
	In      io.WriteCloser
	out     io.Reader
	end     func() // called after in is closed
	enc     *json.Encoder
	dec     *json.Decoder
	first   int // number of its first user
	Clients int

	// Clocks of an agent's machine, in ns: how far they are ahead, and the error of that.
	ahead, skew, clockError int64
}

// Spawn starts this program again with a hidden subcommand. start begins the process.
func Spawn(ctx context.Context, subcommand string, start func(*exec.Cmd) error) (*Worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find this program: %w", err)
	}
	w, cmd := &Worker{}, exec.CommandContext(ctx, self, subcommand)
	cmd.Stderr = os.Stderr
	// Ctrl-C must reach this process alone. It ends the others itself.
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
		_ = cmd.Wait() // its answers say what it did, so its exit status changes nothing
		late.Stop()
	}
	w.enc, w.dec = json.NewEncoder(w.In), json.NewDecoder(w.out)
	return w, nil
}

// Stop closes the process's input, which ends it, and waits for the end.
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

// Start starts procs processes that share the job's clients.
func Start(ctx context.Context, j job.Job, procs int) (*Workers, error) {
	c := &Workers{Clients: j.Clients}
	first, rest := j.First, j.Clients
	j.Base = first
	for k := range procs {
		j.First, j.Clients = first, rest/(procs-k)
		first += j.Clients
		rest -= j.Clients
		w, err := launch(ctx, j, k)
		var a job.Answer
		if err == nil {
			c.workers = append(c.workers, w)
			w.first, w.Clients = j.First, j.Clients
			err = w.Ask(j, &a)
		}
		if err == nil && a.Err != "" {
			err = job.Inputf("%s", a.Err)
		}
		if err != nil {
			c.Stop()
			return nil, err
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

// Ask makes an order for each worker, sends all orders at once, and returns the answers.
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
	return answers, all.Wait() // the first error is enough
}

// TellAll sends one order to all workers at once, and returns their answers.
func (c *Workers) TellAll(o job.Order) ([]job.Answer, error) {
	return c.Ask(func(*Worker) job.Order { return o })
}

// connectTimeout is how long all clients of the workers together may take to join.
const connectTimeout = 3 * time.Minute

// Connect connects the given number of the workers' clients.
func (c *Workers) Connect(clients int) (job.Status, error) {
	deadline := machine.MonotonicIn(connectTimeout)
	answers, err := c.Ask(func(w *Worker) job.Order {
		return job.Order{Op: "connect", Clients: c.share(w, clients), Deadline: deadline}
	})
	return sum(answers), err
}

// share returns how many of the first clients belong to a worker.
func (c *Workers) share(w *Worker, clients int) int { return clients * w.Clients / max(c.Clients, 1) }

// Users calls each for the users that Connect(to) adds to those of Connect(from).
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

// Leave closes all connections of the workers with the closing handshake.
func (c *Workers) Leave() error {
	_, err := c.TellAll(job.Order{Op: "close", Deadline: machine.MonotonicIn(connectTimeout)})
	return err
}

// Status returns the state of all workers' clients, added up.
func (c *Workers) Status() (job.Status, error) {
	answers, err := c.TellAll(job.Order{Op: "status"})
	return sum(answers), err
}

// Run begins a run.
func (c *Workers) Run(p job.Timing) error {
	_, err := c.TellAll(job.Order{Op: "run", Timing: p})
	return err
}

// Finish returns what the clients got, and each worker's answer with its last interval. It
// waits until all have total messages, and those of the further feeds, but at most for the
// time given.
func (c *Workers) Finish(total int64, atMost time.Duration, further ...int64) (*job.Tally, []job.Answer, error) {
	answers, err := c.TellAll(job.Order{Op: "finish", Total: total, Totals: further,
		Deadline: machine.MonotonicIn(atMost)})
	if err != nil {
		return nil, nil, err
	}
	t := answers[0].Results
	for _, a := range answers[1:] {
		job.Add(t, a.Results)
	}
	t.Faults = t.Faults[:min(len(t.Faults), job.MaxFaults)]
	return t, answers, nil
}

func sum(answers []job.Answer) job.Status {
	s := job.Status{Handshake: job.NewHist()}
	for _, a := range answers {
		job.Add(&s, &a.Status)
	}
	return s
}
