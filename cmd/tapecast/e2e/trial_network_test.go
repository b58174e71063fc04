package e2e

import (
	"fmt"
	"testing"
	"time"
)

// TestTrialNetwork: the clients are in a network of their own, whose link to the gateway goes down. Nobody
// is told: what is sent is lost, as when a phone loses its signal.
func TestTrialNetwork(t *testing.T) {
	onlyFull(t)
	inside := newNamespace(t)
	newTrialOn(t, ground{inside: inside, more: fmt.Sprintf(
		"server: {listen: \"%s:0\", drain: 3s, ping_every: 1s}\n", inside.addr)}).run(few(networkFaults()))
}

func networkFaults() []fault {
	return []fault{
		linkDown("network: the clients' link is down for 3 s", true, 3*time.Second),
		linkDown("network: the clients' link is down for 20 s", true, 20*time.Second),
		linkDown("network: the gateway's link is down for 20 s", false, 20*time.Second),
		{"network: the link goes up and down ten times", func(x *trial) {
			for range 10 {
				x.on.inside.link(true, "down")
				x.during(300 * time.Millisecond)
				x.on.inside.link(true, "up")
				x.during(500 * time.Millisecond)
			}
		}},
		{"network: clients come from another one, and the old one is gone", func(x *trial) {
			net := x.on.inside
			net.link(true, "down")
			x.roam(nil)
			came := x.back()
			eventually(x.t, 3*patience, "all have come from elsewhere",
				func() bool { return x.back() >= came+len(x.all) })
			x.flows()
			// The kernel gives up connections whose peer is gone, and then the gateway does.
			began := time.Now()
			eventually(x.t, 3*patience, "the old connections end",
				func() bool { return x.node.connections() == len(x.all) })
			x.note("the old connections ended after another %.0f s", time.Since(began).Seconds())
			net.link(true, "up")
			x.roam(net)
		}},
	}
}

// linkDown takes a link down, at the clients' end or at the gateway's.
func linkDown(name string, inside bool, d time.Duration) fault {
	return fault{name, func(x *trial) {
		x.on.inside.link(inside, "down")
		x.during(d)
		x.on.inside.link(inside, "up")
	}}
}

// roam lets clients that come from now on be in another network.
func (x *trial) roam(to *namespace) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.on.inside = to
}
