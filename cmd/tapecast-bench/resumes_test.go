package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"tapecast/bench/resumes"
)

// The whole path of resumes: the topic is filled, the gateway drops it from memory, and clients
// come back, alone and beside some that ask for everything and some that do not read.
func TestResumes(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	t.Parallel()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "market.trades"))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	to := gatewayOf(t, fmt.Appendf(nil, `
admin: {write: true, token_file: gateway.token}
auth: {secret: x}
kafka: {brokers: [%q]}
classes: {stream: {retain: {age: 300ms}}}
rooms: [{match: trades, class: stream}, {match: "trades:*", class: stream}]
auto_join: []
ingest: {routes: [{topic: market.trades, rooms: [trades, "trades:{s}"], type: trade}]}
`, strings.Join(broker.ListenAddrs(), `","`)))
	args := append([]string{
		"resumes", "--brokers", broker.ListenAddrs()[0], "--records", "5000", "--least", "100", "--most", "400",
		"--count", "20", "--rate", "40", "--greedy", "3", "--stalled", "1", "--warm", "--json",
	}, to...)
	out, code, err := run(t, args...)
	var res resumes.Result
	if uerr := json.Unmarshal([]byte(out), &res); err != nil || uerr != nil || code != 0 || len(res.Runs) != 2 {
		t.Fatalf("code %d, %v, %v: %s", code, err, uerr, out)
	}
	if res.Records < 5000 || len(res.Bars) != 5 || len(res.Medians) != 2 {
		t.Fatalf("%d records, bars %v, medians %v", res.Records, res.Bars, res.Medians)
	}
	for k, g := range res.Runs {
		if g.Succeeded != 20 || len(g.Failed) != 0 || g.Latency.Count != 20 || g.Latency.P50 <= 0 {
			t.Errorf("%s: %+v", g.Name, g)
		}
		// 20 clients lack 100 to 400 records each, spread evenly.
		if g.Records < 20*200 || g.Records > 20*300 || g.Needed != g.Records*400 || g.Asked < 20 || g.Read == 0 {
			t.Errorf("%s: %d records of %d bytes, %v asked, %v read", g.Name, g.Records, g.Needed, g.Asked, g.Read)
		}
		if beside := k == 1; beside != (g.Greedy != nil && g.Greedy.Answers > 0) || beside != (g.Stalled != nil) ||
			beside != (g.Budgets > 4*256<<20) {
			t.Errorf("%s: greedy %+v, stalled %+v, budgets %v", g.Name, g.Greedy, g.Stalled, g.Budgets)
		}
	}
	// The gateway read the whole topic for the greedy clients, and the honest ones do not need it.
	if alone, beside := res.Runs[0], res.Runs[1]; beside.Read < 2*alone.Read || beside.Read < 4000*400 {
		t.Errorf("%v bytes were read alone, and %v beside greedy ones", alone.Read, beside.Read)
	}
	for _, b := range res.Bars {
		if !b.Met && !strings.Contains(b.What, "p99") { // a busy machine may miss it
			t.Errorf("%+v", b)
		}
	}
}
