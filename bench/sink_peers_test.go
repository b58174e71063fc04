package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// The requests are those that Centrifugo's documentation shows for its batch API.
func TestCentrifugoSink(t *testing.T) {
	var got []string
	fail := false
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Commands []struct {
				Publish struct {
					Channel string          `json:"channel"`
					Data    json.RawMessage `json:"data"`
				} `json:"publish"`
			} `json:"commands"`
		}
		if r.URL.Path != "/api/batch" || r.Header.Get("X-API-Key") != "k" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		replies := []string{}
		for _, c := range q.Commands {
			got = append(got, c.Publish.Channel+" "+string(c.Publish.Data))
			replies = append(replies, map[bool]string{false: `{"publish":{}}`, true: `{"error":{"code":102,"message":"unknown channel"}}`}[fail])
		}
		fmt.Fprintf(w, `{"replies":[%s]}`, strings.Join(replies, ","))
	}))
	defer srv.Close()
	var input *InputError
	if _, err := newCentrifugoSink(t.Context(), srv.URL+"/api", "wrong"); !errors.As(err, &input) || !strings.Contains(err.Error(), "401") {
		t.Fatalf("%v", err)
	}
	s, err := newCentrifugoSink(t.Context(), srv.URL+"/api", "k")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if err := s.put(`a"b`, nil, fmt.Appendf(nil, `{"n":%d}`, n)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.close(t.Context()); n != 3 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if want := []string{`a"b {"n":0}`, `a"b {"n":1}`, `a"b {"n":2}`}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%q", got)
	}
	fail = true
	_ = s.put("a", nil, []byte("1"))
	if _, err := s.flush(); err == nil || !strings.Contains(err.Error(), "unknown channel (102)") {
		t.Fatalf("%v", err)
	}
}

func TestPublishBadInput(t *testing.T) {
	f := func(to, want string) {
		t.Helper()
		target := Target{Publish: to}
		err := target.checkPublishing(t.Context(), endpoint{})
		var input *InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", to, err, want)
		}
	}
	f("nats://127.0.0.1", "no nats://HOST:PORT")
	f("nats://127.0.0.1:1", "connection refused")
	f("ftp://x", "neither nats://")
	f("http://127.0.0.1:1/api", "connection refused")
}

// A process without /metrics is looked at by its number.
func TestProcessMetrics(t *testing.T) {
	s := newScraper(adminPort{url: fmt.Sprintf("pid:%d", os.Getpid())})
	first, err := s.scrape(t.Context())
	if err != nil || first[metricRSS] < 1<<20 {
		t.Fatalf("%v, %v", first, err)
	}
	for began := time.Now(); time.Since(began) < 10*time.Second; { // the clock ticks once CPU has been used
		if m, err := s.scrape(t.Context()); err != nil {
			t.Fatal(err)
		} else if m[metricCPU] > first[metricCPU] {
			return
		}
	}
	t.Fatal("the CPU time stands still")
}

func TestParseProcess(t *testing.T) {
	stat := []byte("7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 100 1000 10\n")
	m, err := parseProcess(stat, []byte("Name:\ta\nVmRSS:\t    2048 kB\n"))
	if err != nil || m[metricCPU] != 2 || m[metricRSS] != 2<<20 {
		t.Fatalf("%v, %v", m, err)
	}
	for _, bad := range [][2]string{{"", "VmRSS: 1 kB\n"}, {string(stat), "Name: a\n"}, {string(stat), "VmRSS: x kB\n"}, {"7 (a) S 1 2 3 4 5 6 7 8 9 10 x y 0", "VmRSS: 1 kB\n"}} {
		if m, err := parseProcess([]byte(bad[0]), []byte(bad[1])); err == nil {
			t.Errorf("%q: %v", bad, m)
		}
	}
	var input *InputError
	for _, pid := range []string{"pid:x", "pid:-1", "pid:999999999"} {
		if _, err := newScraper(adminPort{url: pid}).scrape(t.Context()); !errors.As(err, &input) {
			t.Errorf("%s: %v", pid, err)
		}
	}
}
