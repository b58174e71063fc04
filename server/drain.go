package server

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// drain sends the clients away, spread over the configured time, and stops the
// engine. Close cuts it short, and so does the end of ctx: what is left of the
// time then is for the services that stop after this one.
func (s *Server) drain(ctx context.Context) error {
	e := s.engine.Load()
	if e == nil {
		return nil
	}
	err := e.StopAccepting()
	if s.stopping.Err() == nil {
		ctx, cancel := withReserve(ctx)
		defer cancel()
		defer context.AfterFunc(s.stopping, cancel)()
		over := s.cfg.Server.Drain
		left := e.Drain(ctx, over, appendShutdown(nil, over), closeRestart, "the server is stopping")
		if left != nil && s.stopping.Err() == nil {
			err = errors.Join(err, fmt.Errorf("%d clients were still there at the end of the drain: %w", s.limit.conns.Load(), left))
		}
	}
	return errors.Join(err, e.Stop())
}

// withReserve is ctx with an earlier end: a third of the time is kept back, 3 s
// at most.
func withReserve(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end.Add(-min(3*time.Second, time.Until(end)/3)))
}
