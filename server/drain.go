package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tapecast/rooms/wire"
)

// cutAfter is how long the last client of a drain has for the closing handshake. A client that has
// not left by then does not read, and its connection is cut.
const cutAfter = 2 * time.Second

// linger serves on until balancers may have noticed that the node is not ready. Close ends it early.
func (s *Server) linger(ctx context.Context) {
	d := s.cfg.Server.DrainDelay
	if d <= 0 || s.engine.Load() == nil {
		return
	}
	s.log.Info("no longer ready, but still open for clients", "for", d.String())
	select {
	case <-time.After(d):
	case <-ctx.Done():
	case <-s.stopping.Done():
	}
}

// drain closes the clients, spread over the configured time, cuts those that stall at its end, and
// stops the engine. Close ends it early. So does the end of ctx, which is an error: the time that
// is left is then for the services that stop later.
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
		gone, stop := context.WithTimeout(ctx, over+cutAfter)
		defer stop()
		left := e.Drain(gone, over, wire.AppendShutdown(nil, over), wire.CloseRestart, "the server is stopping")
		switch {
		case left == nil || s.stopping.Err() != nil:
		case ctx.Err() == nil:
			s.log.Warn("clients that did not read were cut at the end of the drain", "connections",
				s.limit.Conns.Load())
		default:
			err = errors.Join(err, fmt.Errorf("cannot end %d clients within the drain: %w", s.limit.Conns.Load(), left))
		}
	}
	return errors.Join(err, e.Stop())
}

// withReserve returns ctx with an earlier end. It reserves a third of the time, 3 s at most.
func withReserve(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end.Add(-min(3*time.Second, time.Until(end)/3)))
}
