package bench

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
)

// crew is a set of worker processes that share one job. Orders go to all of
// them at once. One goroutine at a time uses it.
type crew struct {
	workers []*worker
	clients int
}

// worker is one process, told what to do through its standard input, here or by way
// of an agent.
type worker struct {
	in      io.WriteCloser
	out     io.Reader
	end     func() // once in is closed
	enc     *json.Encoder
	dec     *json.Decoder
	first   int // number of its first user
	clients int

	// Of an agent's machine, in ns: how far its clocks are ahead, and how much that may be off.
	ahead, skew, clockError int64
}

// spawn has start begin a process of this program with a hidden subcommand.
func spawn(ctx context.Context, subcommand string, start func(*exec.Cmd) error) (*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find this program: %w", err)
	}
	w, cmd := &worker{}, exec.CommandContext(ctx, self, subcommand)
	cmd.Stderr = os.Stderr
	// A Ctrl-C is for this process alone; it ends the others.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if w.in, err = cmd.StdinPipe(); err != nil {
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
	w.enc, w.dec = json.NewEncoder(w.in), json.NewDecoder(w.out)
	return w, nil
}

// stop ends the process and waits for it: it ends when its input does.
func (w *worker) stop() {
	_ = w.in.Close()
	w.end()
}

// ask sends one value and reads the answer.
func (w *worker) ask(q, a any) error {
	if err := w.enc.Encode(q); err != nil {
		return fmt.Errorf("cannot tell a worker what to do: %w", err)
	}
	if err := w.dec.Decode(a); err != nil {
		return fmt.Errorf("a worker ended without an answer: %w", err)
	}
	return nil
}

// newCrew starts procs processes that share job's clients.
func newCrew(ctx context.Context, job Job, procs int) (*crew, error) {
	c := &crew{clients: job.Clients}
	first, rest := job.First, job.Clients
	job.Base = first
	for k := range procs {
		job.First, job.Clients = first, rest/(procs-k)
		first += job.Clients
		rest -= job.Clients
		w, err := launch(ctx, job, k)
		if err != nil {
			c.stop()
			return nil, err
		}
		c.workers = append(c.workers, w)
		w.first, w.clients = job.First, job.Clients
		var a answer
		if err := w.ask(job, &a); err != nil {
			c.stop()
			return nil, err
		}
		if a.Err != "" {
			c.stop()
			return nil, inputf("%s", a.Err)
		}
	}
	return c, nil
}

func (c *crew) stop() {
	var wg sync.WaitGroup
	for _, w := range c.workers {
		wg.Go(w.stop)
	}
	wg.Wait()
	c.workers = nil
}

// ask sends the orders that of makes for each worker to all of them at once,
// and returns their answers.
func (c *crew) ask(of func(*worker) order) ([]answer, error) {
	answers := make([]answer, len(c.workers))
	errs := make([]error, len(c.workers))
	var wg sync.WaitGroup
	for k, w := range c.workers {
		wg.Go(func() {
			if errs[k] = w.ask(of(w).on(w.ahead, w.skew), &answers[k]); errs[k] == nil && answers[k].Err != "" {
				errs[k] = errors.New(answers[k].Err)
			}
			answers[k].back(w.ahead)
		})
	}
	wg.Wait()
	for _, err := range errs { // one reason is enough
		if err != nil {
			return answers, err
		}
	}
	return answers, nil
}

func (c *crew) tellAll(o order) ([]answer, error) {
	return c.ask(func(*worker) order { return o })
}

// connectTimeout is how long all of a crew's clients together may take to join.
const connectTimeout = 3 * time.Minute

// connect brings in the first clients of the crew, or all of them.
func (c *crew) connect(clients int) (Status, error) {
	deadline := monotonicIn(connectTimeout)
	answers, err := c.ask(func(w *worker) order {
		return order{Op: "connect", Clients: c.share(w, clients), Deadline: deadline}
	})
	return sum(answers), err
}

// share is how many of the first clients of the crew a worker has.
func (c *crew) share(w *worker, clients int) int { return clients * w.clients / max(c.clients, 1) }

// users calls each for the users that connect(to) brings in after connect(from).
func (c *crew) users(from, to int, each func(user string) error) error {
	for _, w := range c.workers {
		for n := c.share(w, from); n < c.share(w, to); n++ {
			if err := each(userName(w.first + n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// leave closes all connections of the crew by the closing handshake.
func (c *crew) leave() error {
	_, err := c.tellAll(order{Op: "close", Deadline: monotonicIn(connectTimeout)})
	return err
}

func (c *crew) status() (Status, error) {
	answers, err := c.tellAll(order{Op: "status"})
	return sum(answers), err
}

func (c *crew) run(p plan) error {
	_, err := c.tellAll(order{Op: "run", Plan: p})
	return err
}

// finish returns what the clients got once all have total messages, and those of
// the further feeds, or after the time given.
func (c *crew) finish(total int64, atMost time.Duration, further ...int64) (*Tally, error) {
	t, _, err := c.finishAll(total, atMost, further...)
	return t, err
}

// finishAll is finish, and each worker's answer with its last interval.
func (c *crew) finishAll(total int64, atMost time.Duration, further ...int64) (*Tally, []answer, error) {
	answers, err := c.tellAll(order{Op: "finish", Total: total, Totals: further, Deadline: monotonicIn(atMost)})
	if err != nil {
		return nil, nil, err
	}
	t := newTallyReport()
	for _, a := range answers {
		t.add(a.Results)
	}
	return t, answers, nil
}

func sum(answers []answer) Status {
	s := Status{Handshake: NewHist()}
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
