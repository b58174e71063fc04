package bench

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"tapecast/bench/client"
	"tapecast/bench/hostile"
	"tapecast/bench/job"
	"tapecast/bench/scrape"
)

// AbuseConfig makes hostile clients do one kind of harm to a fanout's own clients during its window.
type AbuseConfig struct {
	Kind      string  // one of hostile.Kinds
	Hostile   int     // hostile connections. 0: 1
	Addresses int     // loopback addresses that they come from. 0: 1
	Users     int     // users that they share. 0: each connection is a user of its own
	Anonymous bool    // they send no token
	Rate      float64 // requests a second of each, for the kinds with a pace. 0: 45
	Room      string  // of toggle, resume and stalled; {user} is the hostile user. "": the kind's own
	Junk      string  // prefix of invented room names. "": trades:
	Paired    bool    // each run twice: against a sink, and against the gateway

	PingEvery time.Duration // between two pings of an ordinary client. 0: 1 s
	Newcomers float64       // new connections a second. 0: 5; below 0: none
}

// runSink is the other run of a paired abuse: the same hostile processes attack a sink.
const runSink = "sink"

// DefaultHostileRate is just below the messages a second that a gateway allows a connection
// by default. So no limit hides what a request costs.
const DefaultHostileRate = 45

// mostHostileAddresses is how many addresses hostile clients may come from: 127.0.0.101 to
// 127.0.0.200. Ordinary clients use none of them.
const mostHostileAddresses = 100

func (x *AbuseConfig) check(c *FanoutConfig) error {
	x.Hostile, x.Addresses = cmp.Or(x.Hostile, 1), cmp.Or(x.Addresses, 1)
	x.Rate = cmp.Or(x.Rate, DefaultHostileRate)
	x.Junk = cmp.Or(x.Junk, "trades:")
	x.PingEvery = cmp.Or(x.PingEvery, time.Second)
	x.Newcomers = cmp.Or(x.Newcomers, 5)
	kind := hostile.KindOf(x.Kind)
	if kind == nil {
		return job.Inputf("--kind %q is not one of %s", x.Kind, strings.Join(hostile.Kinds(), ", "))
	}
	x.Room = cmp.Or(x.Room, kind.Room, c.Rooms[0])
	switch {
	case x.Hostile < 1 || x.Addresses < 1 || x.Addresses > mostHostileAddresses:
		return job.Inputf("--hostile %d from --hostile-addresses %d: one or more connections, from 1 to %d addresses",
			x.Hostile, x.Addresses, mostHostileAddresses)
	case x.Users < 0 || x.Rate <= 0 || x.Rate > 1e6:
		return job.Inputf("--hostile-users %d, --hostile-rate %v: the users cannot be negative, and the rate is more "+
			"than 0 and at most 1e6", x.Users, x.Rate)
	case x.Anonymous && !kind.Anonymous:
		return job.Inputf("--kind %s needs a token: leave --hostile-token=false out", x.Kind)
	case x.PingEvery < 10*time.Millisecond || x.Newcomers > 100:
		return job.Inputf("--ping-every %s, --newcomers %v: at least 10ms between pings, and at most 100 newcomers "+
			"a second", x.PingEvery, x.Newcomers)
	case kind.Name == "hello" && !strings.HasPrefix(c.Target.URL, "wss:"):
		return job.Inputf("--kind hello needs TLS: give a wss:// --target")
	case c.Target.Foreign() || len(c.Target.Agents.Addrs) > 0 || strings.HasPrefix(c.Target.Admin, scrape.PidPrefix):
		return job.Inputf("abuse needs a tapecast gateway with its internal port: leave --protocol and --agents out")
	case c.Storm != nil || c.Churn != nil || c.Soak != nil || c.Baseline || c.Paired || c.Stalled+c.Slow > 0:
		return job.Inputf("abuse cannot be combined with another scenario")
	}
	return c.Target.CheckOneProcess("--hostile", x.Hostile)
}

// CheckAddress returns an error unless the target is on this machine.
func CheckAddress(e Endpoint) error {
	at, err := netip.ParseAddrPort(e.Addr)
	if err != nil || !at.Addr().IsLoopback() || !at.Addr().Is4() {
		return job.Inputf("--target %s: hostile clients attack only a gateway on 127.0.0.1", e.Addr)
	}
	return nil
}

// HostileSources returns so many addresses that hostile clients come from.
func HostileSources(addresses int) []string {
	var out []string
	for k := range addresses {
		out = append(out, fmt.Sprintf("127.0.0.%d", 101+k))
	}
	return out
}

func (x *AbuseConfig) job(t *Target, e Endpoint) hostile.Job {
	j := hostile.Job{
		Job: client.Job{Endpoint: e.Endpoint}, Kind: x.Kind, Connections: x.Hostile, Keys: t.Keys,
		Anonymous: x.Anonymous, Users: x.Users, Room: x.Room, Junk: x.Junk, Rate: x.Rate,
	}
	j.Sources = HostileSources(x.Addresses)
	return j
}
