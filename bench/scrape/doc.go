// Package scrape reads what a server used. A Scraper reads a gateway's /metrics over one
// kept connection, or a process's /proc where there are no metrics in the known form. Port
// is the gateway's internal port, with its token and its certificates. Any goroutine may
// use them.
package scrape
