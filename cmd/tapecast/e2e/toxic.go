package e2e

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
)

// toxic is a proxy that does harm.
type toxic struct {
	t  testing.TB
	p  *toxiproxy.Proxy
	at string // its address; the proxy writes its own again at each start
}

// poison puts a proxy before an address.
func poison(t testing.TB, name, upstream string) *toxic {
	t.Helper()
	s := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	x := &toxic{t: t, p: toxiproxy.NewProxy(s, name, "127.0.0.1:0", upstream)}
	x.open()
	x.at = x.p.Listen
	t.Cleanup(x.p.Stop)
	return x
}

func (x *toxic) addr() string { return x.at }

// add does one kind of harm to what flows to the client (down) or to the server (up).
func (x *toxic) add(kind, stream, attributes string) {
	x.t.Helper()
	_, err := x.p.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(
		`{"name":"%[1]s_%[2]s","type":%[1]q,"stream":"%[2]sstream","attributes":{%[3]s}}`, kind, stream, attributes)))
	if err != nil {
		x.t.Fatalf("toxic %s: %v", kind, err)
	}
}

// heal ends all harm.
func (x *toxic) heal() { x.p.Toxics.ResetToxics(context.Background()) }

// cut ends all connections and refuses new ones.
func (x *toxic) cut() { x.p.Stop() }

// open accepts connections, at the same address as before.
func (x *toxic) open() {
	x.t.Helper()
	if err := x.p.Start(); err != nil {
		x.t.Fatalf("cannot start a proxy: %v", err)
	}
}

// behind is a listener that says that its address is a proxy's.
type behind struct {
	net.Listener
	addr net.Addr
}

// Addr returns the proxy's address.
func (l behind) Addr() net.Addr { return l.addr }

// poisonedCluster is a fakeCluster that everybody reaches through a proxy only.
func poisonedCluster(t testing.TB) (*cluster, *toxic) {
	t.Helper()
	var x *toxic
	k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ListenFn(func(network, addr string) (net.Listener, error) {
		l, err := net.Listen(network, addr)
		if err != nil {
			return nil, err
		}
		x = poison(t, "kafka", l.Addr().String())
		at, err := net.ResolveTCPAddr("tcp", x.addr())
		return behind{l, at}, err
	}))
	if err != nil {
		t.Fatalf("cannot start kfake: %v", err)
	}
	t.Cleanup(k.Close)
	return &cluster{kind: "kfake", brokers: x.addr(), n: 1, fake: k}, x
}
