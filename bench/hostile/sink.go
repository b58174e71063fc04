package hostile

import (
	"bufio"
	"context"
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
	"net/http"
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

// SinkAnswer is the sink's reply: where it listens.
type SinkAnswer struct {
	Err  string `json:"err,omitempty"`
	Addr string `json:"addr,omitempty"`
}

// sinkServer takes what hostile clients send, and discards it. The attack then costs only
// what it takes to make and to move those bytes.
type sinkServer struct {
	ln      net.Listener
	read    atomic.Int64   // bytes, of connections that have ended
	running sync.WaitGroup // accepts, and reads from each connection
	ctx     context.Context
	end     context.CancelFunc // ends the connections
}

// RunSink is a process that answers the opening handshake of each client, and discards
// everything that follows. It reads a SinkJob and then orders, and answers each with its
// address. It returns when its input ends.
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
		if err := enc.Encode(SinkAnswer{Addr: s.ln.Addr().String()}); err != nil {
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
	s := &sinkServer{ln: ln}
	s.ctx, s.end = context.WithCancel(context.Background())
	s.running.Go(s.accept)
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
		s.running.Go(func() { s.discard(c) })
	}
}

// discard answers the opening handshake, and reads until the connection ends.
func (s *sinkServer) discard(c net.Conn) {
	defer func() { _ = c.Close() }() // it has ended, or the sink ends
	stop := context.AfterFunc(s.ctx, func() { _ = c.Close() })
	defer stop()
	in := bufio.NewReader(c)
	r, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	if _, err := c.Write(proto.AppendAccept(nil, r.Header.Get("Sec-WebSocket-Key"))); err != nil {
		return
	}
	b := make([]byte, 256<<10)
	for n := in.Buffered(); err == nil; n, err = c.Read(b) {
		s.read.Add(int64(n))
	}
}

func (s *sinkServer) close() {
	_ = s.ln.Close() // ends accept
	s.end()
	s.running.Wait()
}
