package hostile

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"tapecast/bench/machine"
	"tapecast/bench/proto"
)

// SinkJob tells a sink process how to listen.
type SinkJob struct {
	TLS bool `json:"tls"`
}

// SinkAnswer is the sink's reply: where it listens, and what it has read so far.
type SinkAnswer struct {
	Err  string `json:"err,omitempty"`
	Addr string `json:"addr,omitempty"`
	Read int64  `json:"read"` // bytes
}

// sinkServer takes what hostile clients send, and discards it. The attack then costs only
// what it takes to make and to move those bytes.
type sinkServer struct {
	ln   net.Listener
	read atomic.Int64

	accepting, reading sync.WaitGroup

	mu    sync.Mutex // guards conns
	conns map[net.Conn]bool
}

// RunSink is a process that answers the opening handshake of each client, and discards
// everything that follows. It reads a SinkJob and then orders, one JSON value each, and
// writes one answer to each. It returns when its input ends.
func RunSink(in io.Reader, out io.Writer) error {
	machine.RaiseDescriptors()
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	var job SinkJob
	if err := dec.Decode(&job); err != nil {
		return fmt.Errorf("cannot read the job: %w", err)
	}
	s, err := newSinkServer(job)
	if err != nil {
		return enc.Encode(SinkAnswer{Err: err.Error()})
	}
	defer s.close()
	for {
		if err := enc.Encode(SinkAnswer{Addr: s.ln.Addr().String(), Read: s.read.Load()}); err != nil {
			return err
		}
		var asked struct{}
		if dec.Decode(&asked) != nil {
			return nil
		}
	}
}

func newSinkServer(job SinkJob) (*sinkServer, error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	if job.TLS {
		cert, err := passingCertificate()
		if err != nil {
			_ = ln.Close() // no client knows it yet
			return nil, err
		}
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}})
	}
	s := &sinkServer{ln: ln, conns: map[net.Conn]bool{}}
	s.accepting.Go(s.accept)
	return s, nil
}

// passingCertificate returns a certificate whose key is not kept.
func passingCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("cannot make a key: %w", err)
	}
	now := time.Now()
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sink"}, DNSNames: []string{"localhost"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("cannot make a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

func (s *sinkServer) accept() {
	for {
		c, err := s.ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // too many descriptors
			time.Sleep(10 * time.Millisecond)
			continue
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		s.reading.Go(func() { s.discard(c) })
	}
}

// discard answers the opening handshake, and reads until the connection ends.
func (s *sinkServer) discard(c net.Conn) {
	defer func() {
		_ = c.Close() // it has ended, or the sink ends
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	b := make([]byte, 8<<10)
	have := 0
	for upgraded := false; ; {
		n, err := c.Read(b[have:])
		s.read.Add(int64(n))
		if err != nil {
			return
		}
		if upgraded {
			continue
		}
		if have += n; have == len(b) {
			return // an unknown request
		}
		key, ok := proto.RequestKey(b[:have])
		if !ok {
			continue
		}
		if _, err := c.Write(proto.AppendAccept(nil, key)); err != nil {
			return
		}
		upgraded, have, b = true, 0, make([]byte, 256<<10)
	}
}

func (s *sinkServer) close() {
	_ = s.ln.Close() // ends accept
	s.accepting.Wait()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.reading.Wait()
}
