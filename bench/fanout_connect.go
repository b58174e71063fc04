package bench

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"time"
)

func (r *fanoutRun) startRaw(ctx context.Context) error {
	c := r.cfg
	if err := checkDescriptors(c.Clients, 1); err != nil {
		return err
	}
	w, err := spawn(ctx, "rawsend", on(c.pinned(0)))
	if err != nil {
		return err
	}
	r.raw = w
	var a rawAnswer
	if err := w.ask(RawJob{Clients: c.Clients, Size: c.Size, Fields: c.Fields, Bare: c.Bare, Room: c.Rooms[0], Batch: c.RawBatch}, &a); err != nil {
		return err
	}
	if a.Err != "" {
		return fmt.Errorf("cannot start rawsend: %s", a.Err)
	}
	r.end.addr, r.end.host, r.end.admin = a.Addr, a.Addr, adminPort{url: a.Admin}
	return nil
}

// pinned is the one processor for a process, where processes are pinned.
func (c *FanoutConfig) pinned(cpu int) []int {
	if !c.Pin {
		return nil
	}
	return []int{cpu}
}

// connect starts the client processes and brings all clients in.
func (r *fanoutRun) connect(ctx context.Context) (*Hist, error) {
	c := r.cfg
	job := r.job(r.end)
	job.CPUs = c.pinned(runtime.NumCPU() - 1)
	if c.Abuse != nil {
		if err := r.startAbuse(ctx); err != nil {
			return nil, err
		}
	}
	var err error
	if r.readers, err = newCrew(ctx, job, c.Procs); err != nil {
		return nil, err
	}
	crews := []*crew{r.readers}
	if c.OrdersRate > 0 && r.name != legRawsend {
		j := job
		j.First, j.Clients, j.Size, j.Fields = c.Clients, c.OrdersClients, orderSize, ""
		j.Rooms, j.Auto, j.Deals = []string{c.OrdersRoom}, false, []deal{c.orderDeal()}
		j.Stamp, j.Prefer, j.Bare, j.Pace = true, true, false, 0
		if r.orders, err = newCrew(ctx, j, 1); err != nil {
			return nil, err
		}
		crews = append(crews, r.orders)
	}
	if c.Filtered > 0 {
		j := job
		j.First, j.Clients, j.Check = c.Clients+c.OrdersClients+c.Stalled, c.Filtered, false
		for k := range min(cmp.Or(c.FilterKeys, 5), c.Keys) {
			j.Filter = append(j.Filter, keyName(int64(k)))
		}
		if r.filtered, err = newCrew(ctx, j, 1); err != nil {
			return nil, err
		}
		crews = append(crews, r.filtered)
	}
	if c.Stalled > 0 {
		j := job
		j.First, j.Clients = c.Clients+c.OrdersClients, c.Stalled
		if r.stalled, err = newCrew(ctx, j, 1); err != nil {
			return nil, err
		}
		crews = append(crews, r.stalled)
	}
	if c.Slow > 0 {
		j := job
		j.First, j.Clients = c.Clients+c.OrdersClients+c.Stalled+c.Filtered, c.Slow
		if r.slow, err = newCrew(ctx, j, 1); err != nil {
			return nil, err
		}
		crews = append(crews, r.slow)
	}
	hand := NewHist()
	for _, w := range crews {
		began := time.Now()
		s, err := w.connect(w.clients)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, inputf("%v", err)
		}
		r.logf("%d clients joined in %.1f s", s.Joined, time.Since(began).Seconds())
		hand.Merge(s.Handshake)
	}
	return hand, nil
}
