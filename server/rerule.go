package server

import (
	"reflect"
	"sync"

	"tapecast/server/config"
)

// reruled is the configuration whose rules hold, once SIGHUP has brought others than those of the start.
type reruled struct {
	mu  sync.Mutex
	cfg *config.Config
}

// ReloadRights takes allow, anonymous and auth.services of a configuration that Load has checked. Clients
// that are connected leave the rooms that the new rules do not allow. It waits for that, roundWait at
// most. After an error the old rules stay.
func (s *Server) ReloadRights(fresh *config.Config) error {
	r := &s.reruled
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.cfg
	if was == nil {
		was = s.cfg
	}
	next := *s.cfg // auto_join and the owners of classes take a restart
	next.Allow, next.Anonymous, next.Auth.Services = fresh.Allow, fresh.Anonymous, fresh.Auth.Services
	if reflect.DeepEqual(next.Allow, was.Allow) && reflect.DeepEqual(next.Anonymous, was.Anonymous) &&
		reflect.DeepEqual(next.Auth.Services, was.Auth.Services) {
		return nil
	}
	if err := s.handler.SetRules(&next); err != nil {
		return err
	}
	r.cfg = &next
	left, closed := s.handler.Withdrawn(), s.handler.Unruled()
	var late []string
	if e := s.engine.Load(); e != nil { // or else nobody is connected
		late = e.Each(s.handler.Sift, roundWait)
	}
	s.log.Info("rules reloaded", "allow", len(next.Allow), "anonymous", len(next.Anonymous.Rooms), "services",
		len(next.Auth.Services), "rooms left", s.handler.Withdrawn()-left, "closed", s.handler.Unruled()-closed,
		"to be closed", s.handler.Unsure())
	if len(late) > 0 {
		s.log.Warn("some loops have not judged all connections by the new rules yet; they go on", "loops", late)
	}
	return nil
}
