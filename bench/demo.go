package bench

import (
	"cmp"
	"encoding/json"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"tapecast/bench/scrape"
)

// FromDemo fills in what is missing for a target on this machine: the secret, the admin
// token and the broker that `tapecast run` without configuration keeps for its user.
func (t *Target) FromDemo() {
	if t.Keys.Kind() == "none" && !t.Foreign() {
		t.Keys.Secret = demoFile(t.URL, "demo.secret")
	}
	admin := t.Admin
	if admin == "" {
		admin = t.URL
	}
	if t.AdminToken == "" && !strings.HasPrefix(admin, scrape.PidPrefix) {
		t.AdminToken = demoFile(admin, "demo.admin-token")
	}
	if !t.Direct && len(t.Brokers) == 0 && t.Publish == "" && !t.Foreign() {
		t.Brokers = demoBrokers(t.URL)
		t.demo = len(t.Brokers) > 0
	}
}

// demoFile returns what the demo keeps in a file for its user. "": it is not there, or not from here.
func demoFile(at, name string) string {
	u, err := url.Parse(at)
	if err != nil || !isLoopback(u.Hostname()) {
		return ""
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return ownFile(filepath.Join(dir, "tapecast", name))
}

// demoBrokers returns the broker of the demo that serves the URL. nil: the URL is another
// gateway's, or the demo that wrote the file has ended.
func demoBrokers(at string) []string {
	var demo struct {
		Listen  string
		Brokers []string
	}
	if json.Unmarshal([]byte(demoFile(at, "demo.broker")), &demo) != nil || len(demo.Brokers) == 0 {
		return nil
	}
	u, err := url.Parse(at)
	if _, port, _ := net.SplitHostPort(demo.Listen); err != nil || u.Port() != port {
		return nil
	}
	for _, addr := range demo.Brokers {
		if host, _, err := net.SplitHostPort(addr); err != nil || !isLoopback(host) {
			return nil
		}
	}
	c, err := net.DialTimeout("tcp", demo.Brokers[0], time.Second)
	if err != nil {
		return nil
	}
	c.Close()
	return demo.Brokers
}

// demoTopics feed the demo's public rooms, by the first part of a room's name.
var demoTopics = map[string]string{"prices": "market.ticker", "trades": "market.trades"}

// demoOrders is the demo's topic of orders. demoOrder is a member that its route needs.
const (
	demoOrders = "private.orders"
	demoOrder  = `"orderId":"bench"`
)

// fromDemo fills in what publishing to the demo needs: the topics of the first room and of
// orders, and the members that its routes need in each value.
func (c *FanoutConfig) fromDemo() {
	t := &c.Target
	if !t.demo || len(c.Rooms) == 0 {
		return
	}
	if c.OrdersRate > 0 {
		c.OrdersTopic = cmp.Or(c.OrdersTopic, demoOrders)
	}
	if c.OrdersTopic == demoOrders {
		c.ordersFields = demoOrder
	}
	isOrders := func(f Feed) bool { return f.Topic == demoOrders }
	if slices.ContainsFunc(c.Feeds, isOrders) && c.Template == "" && !strings.Contains(c.Fields, `"orderId"`) {
		c.Fields = strings.TrimPrefix(c.Fields+","+demoOrder, ",") // all feeds have the same fields
	}
	room, symbol, one := strings.Cut(c.Rooms[0], ":")
	if t.Topic == "" {
		t.Topic = demoTopics[room]
	}
	if c.Fields != "" || c.Template != "" || c.Replay != nil {
		return
	}
	switch t.Topic {
	case "market.ticker", "market.trades":
		if !one || strings.ContainsAny(symbol, "{*\"\\") {
			symbol = "BENCH"
		}
		c.Fields = `"s":"` + symbol + `"`
	case demoOrders:
		c.Fields = demoOrder
	}
}

// isLoopback reports whether a host is this machine, without a name server.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// ownFile returns what a file of this user holds; "": there is none.
func ownFile(file string) string {
	info, err := os.Lstat(file)
	if err != nil || !info.Mode().IsRegular() || info.Size() > 1<<10 {
		return ""
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || int(s.Uid) != os.Getuid() {
		return ""
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
