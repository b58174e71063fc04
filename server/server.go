package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"tapecast/ingest"
	"tapecast/ingest/demo"
	"tapecast/ingest/route"
	"tapecast/loop"
	"tapecast/rooms"
	"tapecast/server/admin"
	"tapecast/server/auth"
	"tapecast/server/config"
	"tapecast/server/limits"
	"tapecast/server/limits/tiers"
	"tapecast/server/logging"
	"tapecast/server/registry"
	"tapecast/server/session"
)

// Server is the running gateway. New makes it. Start, Shutdown and Close are
// called once each. Close may be called during a Shutdown.
type Server struct {
	cfg *config.Config
	log *slog.Logger

	catalog *rooms.Catalog
	routes  []route.Route
	router  *route.Router
	table   *rooms.Table
	auth    *auth.Authenticator
	limit   *limits.Limiter
	handler *session.Handler

	certificate *certificate // nil: the public port is ws
	shown       shown        // certificates of clients
	registry    *registry.Registry
	engine      atomic.Pointer[loop.Engine]
	consumer    atomic.Pointer[ingest.Consumer]
	progress    ingest.Progress // where a restarted consumer continues
	brokers     []string        // Kafka's, or the embedded broker's
	embedded    *demo.Embedded
	publisher   publisher
	replica     atomic.Pointer[ingest.Replica] // of auth.revocations; nil: there is none
	tiers       *tiers.List                    // of limits.tiers_topic; nil: there is none
	tierReplica atomic.Pointer[ingest.Replica] // its reader
	direct      direct
	reruled     reruled

	gate             *admin.Gate
	adminCertificate *certificate // nil: the internal port is http
	scrapes          *admin.Turns // of /metrics
	admin, probes    *admin.Port  // probes is not started without admin.probes

	begun    time.Time
	tabled   bool        // the table's appenders were started
	ready    atomic.Bool // it has caught up once; never cleared
	draining atomic.Bool
	stopping context.Context // ends when clients have no more time
	hurry    context.CancelFunc
	once     sync.Once
	ended    error
	accept   lately
	trouble  *troubleCheck
	watchdog *watchdog
	security *logging.Security
}

// New wires a server from a configuration that Load has checked. It opens nothing: Start does.
func New(cfg *config.Config, log *slog.Logger) (*Server, error) {
	s := &Server{cfg: cfg, log: log, brokers: cfg.Kafka.Brokers, begun: time.Now()}
	s.stopping, s.hurry = context.WithCancel(context.Background())
	var err error
	if s.catalog, err = cfg.Catalog(); err != nil {
		return nil, fmt.Errorf("cannot use the rooms of the configuration: %w", err)
	}
	s.routes = cfg.Routes()
	router, feeds, faults := route.Compile(s.routes, s.catalog)
	if len(faults) > 0 {
		return nil, fmt.Errorf("cannot compile route %d: %s: %s; `tapecast check` names all faults", faults[0].Route,
			faults[0].Field, faults[0].Msg)
	}
	s.router = router
	s.table, err = rooms.New(rooms.Config{
		Catalog: s.catalog, Feeds: feeds, Shards: cfg.Server.Shards, EmptyRooms: cfg.Limits.EmptyRooms,
		Guests: limits.Guest,
		Budget: int64(cfg.Memory.Tapes), LastBudget: int64(cfg.LastValues()),
	})
	if err != nil {
		return nil, err
	}
	if s.auth, err = auth.New(&cfg.Auth, log); err != nil {
		return nil, err
	}
	if s.certificate, err = newCertificate("server.tls", &cfg.Server.TLS, log); err != nil {
		return nil, err
	}
	s.limit = limits.New(cfg)
	s.tiers = s.newTiers()
	if s.security, err = logging.OpenSecurity(cfg.Log.Security, log); err != nil {
		return nil, err
	}
	s.handler = session.New(cfg, s.catalog, s.auth, s.limit, s.security, log)
	if s.tiers != nil {
		s.handler.AwaitTiers(s.tiers.Read)
	}
	if cfg.Admin.Direct {
		s.direct.init(s)
	}
	if s.registry, err = registry.New(log, s.services()...); err != nil {
		return nil, fmt.Errorf("BUG: %w", err)
	}
	if err := s.layAdmin(); err != nil {
		return nil, err
	}
	s.trouble = newTroubleCheck(log, s.troubles())
	s.watchdog = newWatchdog(log, s.heartbeats)
	s.registry.Troubles = s.degraded
	return s, nil
}

func (s *Server) layAdmin() (err error) {
	if s.gate, err = admin.NewGate(&s.cfg.Admin, s.security, s.log); err != nil {
		return err
	}
	if s.adminCertificate, err = newCertificate("admin.tls", &config.TLS{PortTLS: s.cfg.Admin.TLS}, s.log); err != nil {
		return err
	}
	s.scrapes = admin.NewTurns(s.gate, 1, 3) // a look asks every loop
	s.probes = s.probePaths().Port(s.gate, "admin.probes", nil)
	s.admin, err = s.adminPort()
	return err
}

// Start opens the internal port first, so that it answers while the rest starts, and the public
// port last. ctx bounds only the start. After an error Close frees what was started.
func (s *Server) Start(ctx context.Context) error {
	if err := s.admin.Start(s.cfg.Admin.Listen); err != nil {
		return err
	}
	if s.cfg.Admin.Probes != "" {
		if err := s.probes.Start(s.cfg.Admin.Probes); err != nil {
			return err
		}
	}
	s.table.Start()
	s.tabled = true
	if err := s.startEmbedded(ctx); err != nil {
		return err
	}
	if err := s.registry.Start(ctx); err != nil {
		return err
	}
	args := []any{"addr", s.Listen().String(), "path", s.cfg.Server.Path, "admin", s.AdminAddr().String()}
	if at := s.ProbesAddr(); at != nil {
		args = append(args, "probes", at.String())
	}
	s.log.Info("listening", append(args, "connections", s.cfg.MaxConnections(), "rooms", len(s.catalog.Patterns()),
		"topics", len(s.table.Feeds()), "embedded", s.cfg.Demo())...)
	go s.awaitReady()
	go every(s.stopping, trimEvery, new(trimmer).look)
	go every(s.stopping, troubleEvery, s.trouble.look)
	go every(s.stopping, watchEvery, s.watchdog.look)
	return nil
}

// awaitReady logs the moment from which clients get everything.
func (s *Server) awaitReady() {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !s.isReady() {
		<-tick.C
		if s.draining.Load() {
			return
		}
	}
	s.log.Info("ready", "took", time.Since(s.begun).Round(time.Millisecond).String())
}

// isReady reports whether all services were ready once: all partitions had been assigned and had caught
// up, and there was a key to check tokens with. A later outage of Kafka or of the issuer does not
// change that, or balancers would drop every node at once.
func (s *Server) isReady() bool {
	if s.ready.Load() {
		return true
	}
	if ok, _ := s.registry.Ready(); !ok {
		return false
	}
	s.ready.Store(true)
	return true
}

// Listen returns the public address once started, and nil before.
func (s *Server) Listen() net.Addr {
	if e := s.engine.Load(); e != nil {
		return e.Addr()
	}
	return nil
}

// AdminAddr returns the internal address once started, and nil before.
func (s *Server) AdminAddr() net.Addr { return s.admin.Addr() }

// EmbeddedBrokers returns the addresses of the embedded broker, or nil if there is none.
func (s *Server) EmbeddedBrokers() []string {
	if s.embedded == nil {
		return nil
	}
	return s.embedded.Addrs()
}

// ProbesAddr returns the address of the port for probes once started; nil: before, or there is none.
func (s *Server) ProbesAddr() net.Addr { return s.probes.Addr() }

// Shutdown takes readiness away, waits for server.drain_delay and closes the public port.
// It tells the clients, closes them over the drain time, and then stops the consumers and
// the rest. It gives up on what is not done when ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.once.Do(func() { s.ended = s.shutdown(ctx) })
	return s.ended
}

// Close ends everything at once: clients are cut. During a Shutdown it ends that early.
func (s *Server) Close() error {
	s.hurry()
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	return s.Shutdown(ctx)
}

// securityWords is how long a stop waits for the disk of the security log.
const securityWords = 500 * time.Millisecond

// ReopenLogs opens the file of log.security again, after it was rotated.
func (s *Server) ReopenLogs() { s.security.Reopen(s.log) }

// closeTime bounds Close. What has not ended by then ends with the process.
const closeTime = 5 * time.Second

func (s *Server) shutdown(ctx context.Context) error {
	begun := time.Now()
	s.draining.Store(true)
	s.linger(ctx)
	s.handler.Accept(false)
	s.log.Info("draining", "connections", s.limit.Conns.Load(), "over", s.cfg.Server.Drain.String())
	err := s.registry.Stop(ctx)
	s.hurry()
	s.publisher.close()
	if s.tabled {
		s.table.Stop()
	}
	if s.embedded != nil {
		s.embedded.Stop()
	}
	err = errors.Join(err, s.admin.Stop(ctx), s.probes.Stop(ctx))
	s.security.Close(securityWords)
	s.log.Info("stopped", "took", time.Since(begun).Round(time.Millisecond).String())
	return err
}
