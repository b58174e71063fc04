package bench

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tapecast/bench/job"
	"tapecast/bench/scrape"
)

// A target on this machine takes the demo's secret and admin token, unless it is given
// others. A target elsewhere, or a file of another user, gives nothing.
func TestFromDemo(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	if err := os.MkdirAll(filepath.Join(home, "tapecast"), 0o700); err != nil {
		t.Fatal(err)
	}
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(home, "tapecast", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("demo.secret", "the secret")
	put("demo.admin-token", "the token\n")
	f := func(to Target, secret, token string) {
		t.Helper()
		to.FromDemo()
		if to.Keys.Secret != secret || to.AdminToken != token {
			t.Errorf("%s %s: %q and %q, want %q and %q", to.URL, to.Admin, to.Keys.Secret, to.AdminToken, secret, token)
		}
	}
	f(Target{URL: "ws://127.0.0.1:8080/ws"}, "the secret", "the token")
	f(Target{URL: "wss://[::1]:8080/ws"}, "the secret", "the token")
	f(Target{URL: "ws://localhost/ws", Admin: "https://localhost:1"}, "the secret", "the token")
	f(Target{URL: "ws://localhost/ws", Admin: "http://10.0.0.1:1"}, "the secret", "")
	f(Target{URL: "ws://10.0.0.1/ws", Admin: "http://127.0.0.1:1"}, "", "the token")
	f(Target{URL: "ws://localhost.example/ws"}, "", "")
	f(Target{URL: "ws://10.0.0.1/ws"}, "", "")
	f(Target{URL: "ws://localhost/ws", Keys: job.Keys{Secret: "own"}, AdminToken: "own"}, "own", "own")
	f(Target{URL: "ws://localhost/ws", Keys: job.Keys{Token: "own"}}, "", "the token")
	f(Target{URL: "ws://localhost/ws", Speech: job.Speech{Protocol: "plain"}, Admin: "pid:1"}, "", "")
	file := filepath.Join(home, "tapecast", "demo.secret")
	if err := errors.Join(os.Rename(file, file+"2"), os.Symlink(file+"2", file)); err != nil {
		t.Fatal(err)
	}
	f(Target{URL: "ws://localhost/ws"}, "", "the token")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	f(Target{URL: "ws://localhost/ws"}, "", "")
}

// The demo's broker is used if the target is that demo, the broker is there, and no other way
// to publish is given. The rooms of its market need no topic and no fields.
func TestFromDemoBroker(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	if err := os.MkdirAll(filepath.Join(home, "tapecast"), 0o700); err != nil {
		t.Fatal(err)
	}
	broker, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	addr := broker.Addr().String()
	keep := func(text string) {
		if err := os.WriteFile(filepath.Join(home, "tapecast", "demo.broker"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	demo := Target{URL: "ws://127.0.0.1:8080/ws"}
	f := func(to Target, want bool) {
		t.Helper()
		own := len(to.Brokers)
		if to.FromDemo(); to.demo != want || want != (own == 0 && len(to.Brokers) == 1 && to.Brokers[0] == addr) {
			t.Errorf("%+v: %v", to, to.Brokers)
		}
	}
	keep(`{"listen":"0.0.0.0:8080","brokers":["` + addr + `"]}`)
	f(demo, true)
	f(Target{URL: "ws://localhost:8080"}, true)
	f(Target{URL: "ws://127.0.0.1:8090/ws"}, false)
	f(Target{URL: "ws://10.0.0.1:8080/ws"}, false)
	f(Target{URL: demo.URL, Direct: true}, false)
	f(Target{URL: demo.URL, Publish: "nats://x:1"}, false)
	f(Target{URL: demo.URL, Brokers: []string{"own:9092"}}, false)
	f(Target{URL: demo.URL, Speech: job.Speech{Protocol: "plain"}}, false)
	feedsFromDemo(t, demo)
	othersFromDemo(t, demo)

	keep(`{"listen":"127.0.0.1:8080","brokers":["10.0.0.1:9092"]}`)
	f(demo, false)
	keep(`{"listen"`)
	f(demo, false)
	keep(`{"listen":"127.0.0.1:8080","brokers":["` + addr + `"]}`)
	broker.Close()
	f(demo, false)
	err = demo.checkPublishing(t.Context(), Endpoint{})
	for _, flag := range []string{"--brokers", "--topic", "--direct", "--publish"} {
		if err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%v does not name %s", err, flag)
		}
	}
}

// feedsFromDemo: which topic and fields feed a room of the demo's market.
func feedsFromDemo(t *testing.T, demo Target) {
	t.Helper()
	feeds := func(room, topic, fields, wantTopic, wantFields string) {
		t.Helper()
		c := FanoutConfig{Target: demo, Rooms: []string{room}, Fields: fields}
		c.Target.Topic = topic
		c.Target.FromDemo()
		if c.fromDemo(); c.Target.Topic != wantTopic || c.Fields != wantFields {
			t.Errorf("%s: %q %q", room, c.Target.Topic, c.Fields)
		}
	}
	feeds("prices", "", "", "market.ticker", `"s":"BENCH"`)
	feeds("trades:X", "", "", "market.trades", `"s":"X"`)
	feeds("prices", "own", "", "own", "")
	feeds("orders:{user}", "private.orders", "", "private.orders", `"orderId":"bench"`)
	feeds("prices", "", `"s":"A"`, "market.ticker", `"s":"A"`)
	feeds("system_alerts", "", "", "", "")
	feeds("keyed:{key}", "bench.rooms", "", "bench.rooms", "")
	feeds("trades", "market.trades", "", "market.trades", `"s":"BENCH"`)
}

// othersFromDemo: what feeds the orders beside a room, and the rooms of several feeds.
func othersFromDemo(t *testing.T, demo Target) {
	t.Helper()
	orders := FanoutConfig{Target: demo, Rooms: []string{"prices"}, OrdersRate: 5}
	orders.Target.FromDemo()
	if orders.fromDemo(); orders.OrdersTopic != "private.orders" || orders.ordersFields != `"orderId":"bench"` {
		t.Errorf("orders: %q %q", orders.OrdersTopic, orders.ordersFields)
	}
	orders.OrdersTopic, orders.ordersFields = "own", ""
	if orders.fromDemo(); orders.OrdersTopic != "own" || orders.ordersFields != "" {
		t.Errorf("orders: %q %q", orders.OrdersTopic, orders.ordersFields)
	}
	mixed := FanoutConfig{Target: demo, Rooms: []string{"trades"}, Fields: `"s":"A"`}
	mixed.Feeds = []Feed{{Topic: "private.orders"}}
	mixed.Target.FromDemo()
	for range 2 { // it is asked once
		if mixed.fromDemo(); mixed.Fields != `"s":"A","orderId":"bench"` {
			t.Errorf("mixed: %q", mixed.Fields)
		}
	}
}

// Append, metrics and the heap's profile work over https, with the token where it is needed.
// A refusal is reported in the gateway's words.
func TestAdminPort(t *testing.T) {
	const token = "the token"
	mux := http.NewServeMux()
	wants := func(path string, f http.HandlerFunc) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+token {
				http.Error(w, "who asks?", http.StatusUnauthorized)
				return
			}
			f(w, r)
		})
	}
	wants("POST /debug/append", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, `{"appended":%d}`, n)
	})
	wants("GET /debug/pprof/heap", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%s 1\n%s 2\n", scrape.MetricCPU, scrape.MetricRSS)
	})
	srv := httptest.NewTLSServer(mux)
	defer srv.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(ca, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(to Target, words string) {
		t.Helper()
		to.Admin = srv.URL
		a, err := to.adminOf("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		_, scraped := scrape.New(a).Scrape(t.Context())
		for i, err := range []error{directly(t, a), collect(t.Context(), a)} {
			var input *job.InputError
			bad := err != nil && (!errors.As(err, &input) || !strings.Contains(err.Error(), words))
			if (err == nil) != (words == "") || bad {
				t.Errorf("%d: %v, want %q", i, err, words)
			}
		}
		if (scraped == nil) != (to.AdminCA != "" || to.CA != "") {
			t.Errorf("scrape: %v", scraped)
		}
	}
	f(Target{AdminCA: ca, AdminToken: token}, "")
	f(Target{CA: ca, AdminToken: token}, "")
	f(Target{AdminCA: ca, AdminToken: "another"}, "give --admin-token-file (401 Unauthorized: who asks?)")
	f(Target{AdminCA: ca}, "give --admin-token-file")
	f(Target{AdminToken: token}, "certificate")
	_, err := (&Target{Admin: "https://x", AdminCA: "/nowhere"}).adminOf("")
	if err == nil || !strings.Contains(err.Error(), "--admin-ca") {
		t.Errorf("no such file: %v", err)
	}
	err = directly(t, scrape.Port{URL: "ftp://x"})
	if err == nil || !strings.Contains(err.Error(), "nor an https") {
		t.Errorf("ftp: %v", err)
	}
}

// directly opens the way past Kafka at an internal port.
func directly(t *testing.T, at scrape.Port) error {
	to := Target{Direct: true}
	return to.opens(t.Context(), Endpoint{Admin: at})
}
