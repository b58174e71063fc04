// Package proxyheader reads the header of the PROXY protocol, versions 1 and 2, which a
// balancer sends before its client's first byte and which names that client:
// https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt
//
// It is bytes in, an address out. The owner gives it all that has come so far, and asks it
// of trusted peers only: whoever may send a header may claim any address. A header is bounded:
// 107 bytes in version 1, 4 KiB and 16 bytes in version 2.
package proxyheader
