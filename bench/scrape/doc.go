// Package scrape reads what a server used: a Scraper looks at a gateway's /metrics
// over one kept connection, or at a process's /proc where there are none of the known
// form. Port is the gateway's internal port, with its token and its certificates. Any
// goroutine may use them.
package scrape
