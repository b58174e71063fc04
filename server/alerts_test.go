package server

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"tapecast/server/config"
)

// alertRules are the alerting rules of deploy/alerts.yml.
type alertRules struct {
	Groups []struct {
		Rules []struct {
			Alert       string
			Expr        string
			Labels      map[string]string
			Annotations map[string]string
		}
	}
}

// TestAlerts: the alerts that operators take over ask for metrics that there are, say
// what to do, as the page for operators does, and are each fired by promtool (make alerts).
func TestAlerts(t *testing.T) {
	read := func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var rules alertRules
	if err := yaml.Unmarshal(read("deploy/alerts.yml"), &rules); err != nil {
		t.Fatal(err)
	}
	fired, page := string(read("deploy/alerts_test.yml")), string(read("web/docs/operating.md"))
	s := startServer(t, func(cfg *config.Config) { cfg.Server.TLS = makeCert(t, t.TempDir(), 1, time.Hour) })
	_, _, text := s.ask(t, "GET", "/metrics", "")
	var there []string
	for _, m := range regexp.MustCompile(`(?m)^(tapecast_\w+)[ {]`).FindAllStringSubmatch(text, -1) {
		there = append(there, m[1])
	}
	names, seen := regexp.MustCompile(`tapecast_\w+`), map[string]bool{}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			for _, name := range names.FindAllString(r.Expr, -1) {
				if !slices.Contains(there, name) {
					t.Errorf("%s asks for %s, which no gateway has", r.Alert, name)
				}
			}
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Labels["severity"] == "" {
				t.Errorf("%s lacks a summary, what to do, or a severity", r.Alert)
			}
			if !strings.Contains(page, "| `"+r.Alert+"` |") {
				t.Errorf("the page for operators does not say what to do about %s", r.Alert)
			}
			if !strings.Contains(fired, `alertname="`+r.Alert+`"`) || seen[r.Alert] {
				t.Errorf("%s is not fired, or there twice", r.Alert)
			}
			seen[r.Alert] = true
		}
	}
	if len(seen) < 10 {
		t.Errorf("%d alerts", len(seen))
	}
	for _, name := range names.FindAllString(fired, -1) {
		if !slices.Contains(there, name) {
			t.Errorf("the rules are tried with %s, which no gateway has", name)
		}
	}
}
