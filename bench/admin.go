package bench

import (
	"crypto/tls"
	"net"
	"strings"

	"tapecast/bench/job"
	"tapecast/bench/scrape"
)

// adminOf returns the internal port of a target whose public port is at host.
func (t *Target) adminOf(host string) (scrape.Port, error) {
	a := scrape.Port{URL: strings.TrimSuffix(t.Admin, "/"), Token: t.AdminToken}
	if a.URL == "" {
		a.URL = "http://" + net.JoinHostPort(host, "8081")
	}
	ca, flag := t.AdminCA, "--admin-ca"
	if ca == "" {
		ca, flag = t.CA, "--ca"
	}
	if ca == "" || !strings.HasPrefix(a.URL, "https:") {
		return a, nil
	}
	pool, err := job.CertPool(flag, ca)
	a.TLS = &tls.Config{RootCAs: pool}
	return a, err
}
