package proxyheader

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

const (
	maxHeaderV1 = 107       // section 2.1: a line, its CR LF included
	maxHeaderV2 = 16 + 4096 // section 2.2 allows 64 KiB; no balancer's TLVs come near this
)

var (
	errNoHeader      = errors.New("there is no PROXY protocol header")
	errHeaderTooLong = errors.New("the PROXY protocol header is too long")
)

// headerEnd returns the length of the header at the start of b, or 0 while b lacks some of it. It
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

// Read reads the header at the start of b. n is its length, or 0 while b lacks some of it. from is
// the client that it names, and is invalid if it names none, as in a balancer's own connection.
func Read(b []byte) (n int, from netip.AddrPort, err error) {
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
