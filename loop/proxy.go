package loop

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

// This file reads the header of the PROXY protocol, which a balancer sends before its
// client's first byte and which names that client:
// https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt
// It is read of Config.Trusted peers only: whoever may send one may claim any address.

const (
	maxHeaderV1 = 107       // section 2.1: a line, its CR LF included
	maxHeaderV2 = 16 + 4096 // section 2.2 allows 64 KiB; no balancer's TLVs come near this
)

var (
	errNoHeader      = errors.New("there is no PROXY protocol header")
	errHeaderTooLong = errors.New("the PROXY protocol header is too long")
)

// headerEnd returns the length of the header at b's front, 0 while b lacks some of it. It
// never asks for more than maxHeaderV2.
func headerEnd(b []byte) (int, error) {
	begins := func(signature []byte) bool {
		n := min(len(b), len(signature))
		return bytes.Equal(b[:n], signature[:n])
	}
	switch {
	case begins(proxyproto.SIGV1):
		n := bytes.IndexByte(b[:min(len(b), maxHeaderV1)], '\n') + 1
		if n == 0 && len(b) >= maxHeaderV1 {
			return 0, errHeaderTooLong
		}
		return n, nil
	case !begins(proxyproto.SIGV2):
		return 0, errNoHeader
	case len(b) < 16:
		return 0, nil
	}
	n := 16 + int(binary.BigEndian.Uint16(b[14:]))
	if n > maxHeaderV2 {
		return 0, errHeaderTooLong
	}
	if len(b) < n {
		return 0, nil
	}
	return n, nil
}

// proxyHeader reads the header at b's front: n is its length, 0 while b lacks some of it.
// from is the client that it names; invalid where it names none, as that of a balancer's
// own connection does.
func proxyHeader(b []byte) (n int, from netip.AddrPort, err error) {
	if n, err = headerEnd(b); n == 0 {
		return 0, from, err
	}
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(b[:n]), n))
	if err != nil {
		return 0, from, err
	}
	if src, _, ok := h.TCPAddrs(); ok && h.Command.IsProxy() {
		from = src.AddrPort()
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	}
	return n, from, nil
}

// readHeader is given what a trusted peer sent, up to the end of its header, and returns
// what came behind it.
func (c *Conn) readHeader(b []byte) []byte {
	if c.asked != nil {
		c.asked.text = append(c.asked.text, b...)
		b = c.asked.text
	}
	e := c.loop.engine
	n, from, err := proxyHeader(b)
	switch {
	case err != nil:
		e.misled.Add(1)
		e.cfg.Log.Warn("a trusted proxy sent no valid PROXY protocol header; is it turned on there?",
			"remote", c.Remote(), "error", err)
		c.asked = nil
		c.cut()
		return nil
	case n == 0:
		if c.asked == nil {
			c.asked = &askedPart{text: append([]byte(nil), b...)}
		}
		return nil
	}
	c.asked, c.input = nil, inRequest
	e.gate.known(c, from)
	return b[n:]
}

// trusts reports whether a peer has to send a PROXY protocol header.
func (e *Engine) trusts(peer netip.Addr) bool {
	peer = peer.Unmap().WithZone("")
	for _, p := range e.cfg.Trusted {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

// known gives a socket the address that its PROXY protocol header names, and counts it
// for that. One that names none stays the balancer's, which has no limit.
func (g *gate) known(c *Conn, from netip.AddrPort) {
	g.mu.Lock()
	var v verdicts
	if c.standing&stdFalling == 0 {
		g.half.remove(c)
		if from.IsValid() {
			c.addr, c.port = from.Addr().As16(), from.Port()
			g.count(c, &v)
		} else {
			g.await(c, false, &v)
		}
	}
	g.carryOut(&v)
}
