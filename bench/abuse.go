package bench

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"tapecast/bench/hostile"
	"tapecast/bench/job"
	"tapecast/bench/scrape"
)

// AbuseConfig has hostile clients do one kind of harm while a fanout's window lasts.
// The fanout's own clients are the ordinary ones: they ping besides, and new ones
// come meanwhile.
type AbuseConfig struct {
	Kind      string  // one of Kinds
	Hostile   int     // hostile connections. 0: 1
	Addresses int     // loopback addresses that they come from. 0: 1
	Users     int     // users that they share. 0: each connection is a user of its own
	Anonymous bool    // they bring no token
	Rate      float64 // requests a second of each, of the kinds that have a pace. 0: 45
	Room      string  // of toggle, resume and stalled, {user} standing for the hostile user. "": the kind's own
	Junk      string  // how made-up names of rooms begin. "": trades:
	Paired    bool    // each run once against a sink, and once against the gateway

	PingEvery time.Duration // between two pings of an ordinary client. 0: 1 s
	Newcomers float64       // new connections a second. 0: 5; less: none
}

// Runs of an abuse: with the hostile clients at the gateway, which has the name of
// any gateway's run, and with the same hostile processes at a sink.
const runSink = "sink"

// DefaultHostileRate is just below the messages a second that a gateway allows a
// connection by default: nothing but what a request costs is in its way.
const DefaultHostileRate = 45

// mostHostileAddresses is how many addresses hostile clients may come from:
// 127.0.0.101 to 127.0.0.200, none of them an ordinary client's.
const mostHostileAddresses = 100

func (x *AbuseConfig) check(c *FanoutConfig) error {
	x.Hostile, x.Addresses = cmp.Or(x.Hostile, 1), cmp.Or(x.Addresses, 1)
	x.Rate = cmp.Or(x.Rate, DefaultHostileRate)
	x.Junk = cmp.Or(x.Junk, "trades:")
	x.PingEvery = cmp.Or(x.PingEvery, time.Second)
	x.Newcomers = cmp.Or(x.Newcomers, 5)
	kind := hostile.KindOf(x.Kind)
	if kind == nil {
		return job.Inputf("--kind %q is none of %s", x.Kind, strings.Join(hostile.Kinds(), ", "))
	}
	x.Room = cmp.Or(x.Room, kind.Room, c.Rooms[0])
	switch {
	case x.Hostile < 1 || x.Addresses < 1 || x.Addresses > mostHostileAddresses:
		return job.Inputf("--hostile %d from --hostile-addresses %d: one or more connections, from 1 to %d addresses",
			x.Hostile, x.Addresses, mostHostileAddresses)
	case x.Users < 0 || x.Rate <= 0 || x.Rate > 1e6:
		return job.Inputf("--hostile-users %d, --hostile-rate %v: neither can be negative, and the rate is at most 1e6",
			x.Users, x.Rate)
	case x.Anonymous && !kind.Anonymous:
		return job.Inputf("--kind %s takes a token: leave --hostile-token=false out", x.Kind)
	case x.PingEvery < 10*time.Millisecond || x.Newcomers > 100:
		return job.Inputf("--ping-every %s, --newcomers %v: at least 10ms, and 100 a second at most",
			x.PingEvery, x.Newcomers)
	case kind.Name == "hello" && !strings.HasPrefix(c.Target.URL, "wss:"):
		return job.Inputf("--kind hello is about TLS: give a wss:// --target")
	case c.Target.Foreign() || len(c.Target.Agents.Addrs) > 0 || strings.HasPrefix(c.Target.Admin, scrape.PidPrefix):
		return job.Inputf("abuse needs a tapecast gateway with its internal port: leave --protocol and --agents out")
	case c.Storm != nil || c.Churn != nil || c.Soak != nil || c.Baseline || c.Paired || c.Stalled+c.Slow > 0:
		return job.Inputf("abuse goes with no other scenario")
	}
	return c.Target.CheckOneProcess("--hostile", x.Hostile)
}

// CheckAddress refuses to flood what is not on this machine.
func (x *AbuseConfig) CheckAddress(e Endpoint) error {
	at, err := netip.ParseAddrPort(e.Addr)
	if err != nil || !at.Addr().IsLoopback() || !at.Addr().Is4() {
		return job.Inputf("--target %s: hostile clients go to a gateway on 127.0.0.1 only", e.Addr)
	}
	return nil
}

// Sources are the addresses that the hostile clients come from.
func (x *AbuseConfig) Sources() []string {
	var out []string
	for k := range x.Addresses {
		out = append(out, fmt.Sprintf("127.0.0.%d", 101+k))
	}
	return out
}

// job is what the hostile process is told.
func (x *AbuseConfig) job(t *Target, e Endpoint) hostile.Job {
	return hostile.Job{
		Job:  t.ClientJob(e),
		Kind: x.Kind, Connections: x.Hostile, Sources: x.Sources(),
		Keys: t.Keys, Anonymous: x.Anonymous, Users: x.Users,
		Room: x.Room, Junk: x.Junk, Rate: x.Rate,
	}
}
