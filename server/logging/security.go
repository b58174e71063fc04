package logging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Security writes which client was refused what, from where and why: one line of JSON each,
// sampled, and without tokens. Any goroutine may use it, and it never blocks. The zero value, for
// an empty log.security, writes nothing.
type Security struct {
	log       *slog.Logger // nil: none
	queue     *Queue       // of the file; nil: the lines go to the log
	name      string       // of the file
	reopening atomic.Bool
	spared    atomic.Uint64 // events that sampling left out

	mu   sync.Mutex
	seen map[securityKey]*securityPace
	all  securityPace
}

// securityKey is what is sampled apart: a kind (there are few), and an address as limits count it.
type securityKey struct {
	kind string
	from netip.Addr
}

type securityPace struct {
	second int64
	lines  int
	spared int // events without a line since the last one
}

const (
	// securityLines is how many events of one kind and address get a line a second.
	securityLines = 5
	// securityAll is how many events in all get a line a second.
	securityAll = 500
	// securityKeys bounds what is told apart. At the bound all are forgotten.
	securityKeys = 4096
)

// OpenSecurity opens the file of that name. With "stderr" it uses the queue of the log.
func OpenSecurity(name string, log *slog.Logger) (*Security, error) {
	s := &Security{name: name, seen: map[securityKey]*securityPace{}}
	var w io.Writer
	switch q := QueueOf(log); {
	case name == "":
		return s, nil
	case name == "stderr" && q != nil:
		w = q
	case name == "stderr":
		w = os.Stderr
	default:
		f, err := openSecurityFile(name)
		if err != nil {
			return nil, fmt.Errorf("cannot open log.security: %w", err)
		}
		s.queue = NewQueue(f)
		w = s.queue
	}
	opts := &slog.HandlerOptions{ReplaceAttr: redactAttr}
	s.log = slog.New(slog.NewJSONHandler(w, opts))
	if s.queue != nil {
		s.queue.setNotice(func(n uint64) []byte { return droppedLine(n, false, opts) })
	}
	return s, nil
}

// openSecurityFile opens a file for appending that only its owner can read.
func openSecurityFile(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
}

// CanOpenSecurity is openSecurityFile without creating a file or waiting for a pipe's reader.
func CanOpenSecurity(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|unix.O_NONBLOCK, 0)
	switch {
	case err == nil:
		return f.Close()
	case errors.Is(err, unix.ENXIO): // the pipe has no reader yet
		return nil
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	dir, err := os.Stat(filepath.Dir(name))
	if err == nil && !dir.IsDir() {
		err = unix.ENOTDIR
	}
	if err == nil {
		err = unix.Faccessat(unix.AT_FDCWD, filepath.Dir(name), unix.W_OK|unix.X_OK, unix.AT_EACCESS)
	}
	return err
}

// Reopen opens the file again after it was moved away. The goroutine that writes does it, since a
// disk may hang. If the file cannot be opened, the old one stays.
func (s *Security) Reopen(log *slog.Logger) {
	if s.queue == nil || s.reopening.Swap(true) {
		return
	}
	s.queue.do(func() {
		defer s.reopening.Store(false)
		f, err := openSecurityFile(s.name)
		if err != nil {
			log.Error("cannot open log.security again: the old file stays", "error", err)
			return
		}
		if old, ok := s.queue.w.(io.Closer); ok {
			old.Close()
		}
		s.queue.w = f
	})
}

// Close writes what waits.
func (s *Security) Close(within time.Duration) {
	if s.queue != nil && s.queue.Close(within) {
		s.queue.w.(io.Closer).Close() // the goroutine has ended
	}
}

// Note writes one event: its kind, where it came from, and more.
func (s *Security) Note(kind string, from netip.Addr, more ...slog.Attr) {
	if !s.Enabled() {
		return
	}
	spared, ok := s.take(securityKey{kind, securityAddress(from)}, time.Now().Unix())
	if !ok {
		s.spared.Add(1)
		return
	}
	if spared > 0 {
		more = append(more, slog.Int("suppressed", spared))
	}
	s.log.LogAttrs(context.Background(), slog.LevelWarn, kind, more...)
}

// securityAddress returns the address by which an event is sampled: of an IPv6 host its /64.
func securityAddress(a netip.Addr) netip.Addr {
	if a = a.Unmap().WithZone(""); a.Is6() {
		p, _ := a.Prefix(64) // cannot fail: 64 is in range
		return p.Addr()
	}
	return a
}

// Enabled reports whether events are written anywhere.
func (s *Security) Enabled() bool { return s != nil && s.log != nil }

// Suppressed returns how many events had no line of their own.
func (s *Security) Suppressed() uint64 { return s.spared.Load() }

// File returns the queue of the security log's own file, or nil if there is none.
func (s *Security) File() *Queue { return s.queue }

// take asks for a line. spared is how many events of the key had none since the last one.
func (s *Security) take(k securityKey, second int64) (spared int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.seen[k]
	if p == nil {
		if len(s.seen) >= securityKeys {
			clear(s.seen)
		}
		p = &securityPace{}
		s.seen[k] = p
	}
	p.turn(second)
	s.all.turn(second)
	if p.lines >= securityLines || s.all.lines >= securityAll {
		p.spared++
		return 0, false
	}
	p.lines++
	s.all.lines++
	spared, p.spared = p.spared, 0
	return spared, true
}

func (p *securityPace) turn(second int64) {
	if p.second != second {
		p.second, p.lines = second, 0
	}
}
