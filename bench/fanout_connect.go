package bench

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/pool"
	"tapecast/bench/rawsend"
	"tapecast/bench/scrape"
)

func (r *fanoutRun) startRaw(ctx context.Context) error {
	c := r.cfg
	if err := machine.CheckDescriptors(c.Clients, 1); err != nil {
		return err
	}
	var err error
	if r.raw, err = pool.Spawn(ctx, "rawsend", machine.On(c.pinned(0))); err != nil {
		return err
	}
	var a rawsend.Answer
	if err := r.raw.Ask(rawsend.Job{Clients: c.Clients, Size: c.Size, Fields: c.Fields, Bare: c.Bare, Room: c.Rooms[0],
		Batch: c.RawBatch}, &a); err != nil {
		return err
	}
	if a.Err != "" {
		return fmt.Errorf("cannot start rawsend: %s", a.Err)
	}
	r.end.Addr, r.end.Host, r.end.Admin = a.Addr, a.Addr, scrape.Port{URL: a.Admin}
	return nil
}

// pinned returns the one processor of a process, if processes are pinned.
func (c *FanoutConfig) pinned(cpu int) []int {
	if !c.Pin {
		return nil
	}
	return []int{cpu}
}

func (r *fanoutRun) connect(ctx context.Context) (*job.Hist, error) {
	c := r.cfg
	j := r.job(r.end)
	j.CPUs = c.pinned(runtime.NumCPU() - 1)
	var err error
	if r.readers, err = pool.Start(ctx, j, c.Procs); err != nil {
		return nil, err
	}
	sets := []*pool.Workers{r.readers}
	first := c.Clients // number of the next user
	for _, x := range []struct {
		to      **pool.Workers
		clients int
		wanted  bool
		edit    func(*job.Job)
	}{
		{&r.orders, c.OrdersClients, c.OrdersRate > 0 && r.name != runRawsend, c.ordersJob},
		{&r.stalled, c.Stalled, c.Stalled > 0, func(*job.Job) {}},
		{&r.filtered, c.Filtered, c.Filtered > 0, c.filteredJob},
		{&r.slow, c.Slow, c.Slow > 0, func(*job.Job) {}},
	} {
		j := j
		j.First, j.Clients = first, x.clients
		first += x.clients
		if !x.wanted {
			continue
		}
		x.edit(&j)
		if *x.to, err = pool.Start(ctx, j, 1); err != nil {
			return nil, err
		}
		sets = append(sets, *x.to)
	}
	hand := job.NewHist()
	for _, w := range sets {
		began := time.Now()
		s, err := Join(ctx, w, w.Clients)
		if err != nil {
			return nil, err
		}
		r.logf("%d clients joined in %.1f s", s.Joined, time.Since(began).Seconds())
		hand.Merge(s.Handshake)
	}
	if c.Abuse != nil { // after the others: where the target is wrong, they tell without delay
		if err := r.startAbuse(ctx); err != nil {
			return nil, err
		}
	}
	return hand, nil
}

// ordersJob makes a job that of the clients that get orders.
func (c *FanoutConfig) ordersJob(j *job.Job) {
	j.Size, j.Fields = orderSize, c.ordersFields
	j.Rooms, j.Auto, j.Assignments = []string{c.OrdersRoom}, false, []job.Assignment{c.orderAssignment()}
	j.Stamp, j.Prefer, j.Bare, j.Pace = true, true, false, 0
}

// filteredJob makes a job that of the clients that want only a few of the keys.
func (c *FanoutConfig) filteredJob(j *job.Job) {
	j.Check = false
	for k := range min(cmp.Or(c.FilterKeys, 5), c.Keys) {
		j.Filter = append(j.Filter, job.KeyName(int64(k)))
	}
}
