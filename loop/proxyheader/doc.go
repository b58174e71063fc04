// Package proxyheader reads the header of the PROXY protocol, versions 1 and 2. A balancer sends it
// before its client's first byte, and it names the client's address.
//
// It takes bytes and returns an address. The owner passes everything that has come so far. It must
// do so for trusted peers only, since a peer that may send a header may claim any address. A header
// is bounded: 107 bytes in version 1, 4 KiB and 16 bytes in version 2.
package proxyheader
