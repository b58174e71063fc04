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
	w, err := pool.Spawn(ctx, "rawsend", machine.On(c.pinned(0)))
	if err != nil {
		return err
	}
	r.raw = w
	var a rawsend.Answer
	if err := w.Ask(rawsend.Job{Clients: c.Clients, Size: c.Size, Fields: c.Fields, Bare: c.Bare, Room: c.Rooms[0],
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

// connect starts the client processes and connects all clients.
func (r *fanoutRun) connect(ctx context.Context) (*job.Hist, error) {
	c := r.cfg
	j := r.job(r.end)
	j.CPUs = c.pinned(runtime.NumCPU() - 1)
	if c.Abuse != nil {
		if err := r.startAbuse(ctx); err != nil {
			return nil, err
		}
	}
	var err error
	if r.readers, err = pool.Start(ctx, j, c.Procs); err != nil {
		return nil, err
	}
	sets := []*pool.Workers{r.readers}
	if c.OrdersRate > 0 && r.name != runRawsend {
		j := j
		j.First, j.Clients, j.Size, j.Fields = c.Clients, c.OrdersClients, orderSize, c.ordersFields
		j.Rooms, j.Auto, j.Assignments = []string{c.OrdersRoom}, false, []job.Assignment{c.orderAssignment()}
		j.Stamp, j.Prefer, j.Bare, j.Pace = true, true, false, 0
		if r.orders, err = pool.Start(ctx, j, 1); err != nil {
			return nil, err
		}
		sets = append(sets, r.orders)
	}
	if c.Filtered > 0 {
		j := j
		j.First, j.Clients, j.Check = c.Clients+c.OrdersClients+c.Stalled, c.Filtered, false
		for k := range min(cmp.Or(c.FilterKeys, 5), c.Keys) {
			j.Filter = append(j.Filter, job.KeyName(int64(k)))
		}
		if r.filtered, err = pool.Start(ctx, j, 1); err != nil {
			return nil, err
		}
		sets = append(sets, r.filtered)
	}
	if c.Stalled > 0 {
		j := j
		j.First, j.Clients = c.Clients+c.OrdersClients, c.Stalled
		if r.stalled, err = pool.Start(ctx, j, 1); err != nil {
			return nil, err
		}
		sets = append(sets, r.stalled)
	}
	if c.Slow > 0 {
		j := j
		j.First, j.Clients = c.Clients+c.OrdersClients+c.Stalled+c.Filtered, c.Slow
		if r.slow, err = pool.Start(ctx, j, 1); err != nil {
			return nil, err
		}
		sets = append(sets, r.slow)
	}
	hand := job.NewHist()
	for _, w := range sets {
		began := time.Now()
		s, err := w.Connect(w.Clients)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, job.Inputf("%v", err)
		}
		r.logf("%d clients joined in %.1f s", s.Joined, time.Since(began).Seconds())
		hand.Merge(s.Handshake)
	}
	return hand, nil
}
