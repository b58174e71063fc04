package shared

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// ownConns is how many connections a node has beside those for look-ups, each of which takes one for a
	// round trip: one stores, and one tries Redis.
	ownConns = 2
	// idleFor is when a connection that nobody needed is closed.
	idleFor = time.Minute
	// probe is the key that Run and Try store and read.
	probe    = prefix + "probe"
	probeFor = 2 * tryEvery
)

// Config says which Redis, and what is shared there.
type Config struct {
	Address  string // host:port
	User     string // of Redis' ACL; "": its default user
	Password string
	Database int
	TLS      *tls.Config   // nil: plain
	Timeout  time.Duration // of one look-up or store, connecting included
	// Secret is the gateways', of LeastSecret bytes or more.
	Secret []byte
	// Scope is what answers depend on besides the token: whom the gateways ask, and for what.
	Scope string
	// AtOnce is how many look-ups there are at a time at most, each with a connection. Zero means 1.
	AtOnce int
	// Keep is how long an answer may be used. Skew is how much the clocks of nodes may differ.
	Keep, Skew time.Duration
	Log        *slog.Logger
	// Dial connects. Nil: over the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// same reports whether both lead to the same Redis, and to the same entries there.
func (c *Config) same(other *Config) bool {
	return c.Address == other.Address && c.User == other.User && c.Password == other.Password &&
		c.Database == other.Database && sameTLS(c.TLS, other.TLS) && c.Timeout == other.Timeout &&
		bytes.Equal(c.Secret, other.Secret) && c.Scope == other.Scope && c.AtOnce == other.AtOnce &&
		c.Keep == other.Keep && c.Skew == other.Skew
}

func sameTLS(a, b *tls.Config) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ServerName == b.ServerName && a.MinVersion == b.MinVersion && a.RootCAs.Equal(b.RootCAs)
}

// mute stops the client from writing to standard error. What it says there its errors say too.
type mute struct{}

// Printf writes nothing.
func (mute) Printf(context.Context, string, ...any) {}

var muted = sync.OnceFunc(func() { redis.SetLogger(mute{}) })

func (c *Config) client() *redis.Client {
	muted()
	return redis.NewClient(&redis.Options{
		Addr: c.Address, Username: c.User, Password: c.Password, DB: c.Database, Dialer: c.dial,
		Protocol: 2, DisableIdentity: true, // the fewest commands, and no answers that nobody asked for
		MaxRetries:  -1, // who waits can ask the service instead
		DialTimeout: c.Timeout, ReadTimeout: c.Timeout, WriteTimeout: c.Timeout, PoolTimeout: c.Timeout,
		ContextTimeoutEnabled: true, PoolSize: max(1, c.AtOnce) + ownConns, ConnMaxIdleTime: idleFor,
	})
}

// dial connects through a guard.
func (c *Config) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	dial := c.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	tcp, isTCP := conn.(syscall.Conn)
	if c.TLS != nil {
		secure := tls.Client(conn, c.TLS)
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, fmt.Errorf("TLS: %w", err)
		}
		conn = secure
	}
	if g := (&guard{Conn: conn}); isTCP {
		return guardTCP{g, tcp}, nil
	} else {
		return g, nil
	}
}

// Try stores something in Redis and reads it, as `check --connect` does. The error says which of these
// failed.
func Try(ctx context.Context, c Config) error {
	c.Timeout = max(c.Timeout, 3*time.Second) // nobody waits for it
	client := c.client()
	defer client.Close()
	if err := get(ctx, client, probe); err != nil {
		return fmt.Errorf("cannot look up: %w", err)
	}
	if err := client.Set(ctx, probe, "", probeFor).Err(); err != nil {
		return fmt.Errorf("cannot store: %w", why(err))
	}
	return nil
}

func get(ctx context.Context, client *redis.Client, key string) error {
	err := client.Get(ctx, key).Err()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return why(err)
}

// why shortens what failed, for operators.
func why(err error) error {
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return errLate
	}
	return err
}

var errLate = errors.New("it does not answer in time")
