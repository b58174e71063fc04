package shared

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// script is a Redis of a test. Without more it stores and finds; says answers in its place.
type script struct {
	t    *testing.T
	away bool // it refuses connections

	mu     sync.Mutex
	values map[string]string
	lives  map[string]time.Duration                    // by key: how long Redis is to keep it
	says   func(cmd []string) (answer string, is bool) // nil: nothing is special
	conns  []net.Conn
	slow   func(cmd []string) // called before each answer, and may wait; nil: nothing is
}

func newScript(t *testing.T) *script {
	t.Helper()
	return &script{t: t, values: map[string]string{}, lives: map[string]time.Duration{}}
}

// dial connects to it within the process, so that a test can have its own clock.
func (s *script) dial(context.Context, string, string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return nil, errors.New("connection refused")
	}
	here, there := net.Pipe()
	s.conns = append(s.conns, there)
	go s.serve(there)
	return here, nil
}

// up lets it take connections. If not, it also drops those that it has.
func (s *script) up(is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away = !is; is {
		return
	}
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

// say makes it answer otherwise, from now on and on all connections.
func (s *script) say(says func(cmd []string) (string, bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.says = says
}

func (s *script) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		cmd, err := readCommand(r)
		if err != nil {
			return
		}
		s.mu.Lock()
		slow := s.slow
		s.mu.Unlock()
		if slow != nil {
			slow(cmd)
		}
		if _, err := io.WriteString(c, s.answer(cmd)); err != nil {
			return
		}
	}
}

func (s *script) answer(cmd []string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.says != nil {
		if text, is := s.says(cmd); is {
			return text
		}
	}
	switch strings.ToUpper(cmd[0]) {
	case "HELLO":
		return hello
	case "GET":
		if v, ok := s.values[cmd[1]]; ok {
			return fmt.Sprintf("$%d\r\n%s\r\n", len(v), v)
		}
		return "$-1\r\n"
	case "SET":
		s.values[cmd[1]] = cmd[2]
		n, _ := strconv.Atoi(cmd[4])
		s.lives[cmd[1]] = time.Duration(n) * map[string]time.Duration{"px": time.Millisecond, "ex": time.Second}[cmd[3]]
		return "+OK\r\n"
	}
	return "-ERR unknown command\r\n"
}

func readCommand(r *bufio.Reader) (cmd []string, err error) {
	number := func(kind string) (n int) {
		line, e := r.ReadString('\n')
		if e == nil {
			n, e = strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, kind)))
		}
		if err == nil {
			err = e
		}
		return n
	}
	parts := number("*")
	for range parts {
		text := make([]byte, number("$")+2)
		if err == nil {
			_, err = io.ReadFull(r, text)
		}
		if err != nil {
			return nil, err
		}
		cmd = append(cmd, string(text[:len(text)-2]))
	}
	if err == nil && len(cmd) == 0 {
		err = io.ErrUnexpectedEOF
	}
	return cmd, err
}

// set makes an entry of Redis, or changes it.
func (s *script) set(key, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[key] = value
}

func (s *script) get(key string) (value string, lives time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[key], s.lives[key]
}

// node starts a store of one node.
func node(t *testing.T, r *script, change ...func(*Config)) (s *Store, stop func()) {
	t.Helper()
	cfg := Config{Dial: r.dial, Timeout: 100 * time.Millisecond, Secret: []byte(secret), Scope: "a",
		Keep: time.Minute, Skew: 30 * time.Second, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	if s, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); s.Run(ctx) }()
	stop = func() {
		cancel()
		<-ended
		if _, found := s.Look(context.Background(), "x"); found || s.Usable() {
			t.Error("it is of use after its end")
		}
	}
	return s, stop
}
