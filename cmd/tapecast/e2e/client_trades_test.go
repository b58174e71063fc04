package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	goclient "tapecast/server/client"
)

// TestTradesAtClients: recorded trades, and the two clients that applications use: the Go client in this process
// and the JavaScript client in node. Each of their connections is cut at random and goes on at either of two
// gateways, and one gateway is killed. Each trade comes exactly once to each application, with no gap and no error.
// TAPECAST_E2E_FULL=1 runs all trades with 500 JavaScript clients on a real Kafka.
func TestTradesAtClients(t *testing.T) {
	besideOthers(t)
	goClients, jsClients, max, times, retain := 10, 10, scaled().smallRows, 20.0, "1s"
	var k *cluster
	if scaled().full() {
		goClients, jsClients, max, times, retain = 20, 500, scaled().tradeRows, 2, "10s"
		k = realCluster(t)
	} else {
		k = fakeCluster(t)
	}
	rows := trades(t, max)
	k.topic(t, "trades", cutsPartitions)
	conf := config(k, strings.ReplaceAll(cutsConfig, "RETAIN", retain))
	x := &applications{t: t, nodes: []*gateway{start(t, conf), start(t, conf)}, blockedOf: 2}
	if scaled().full() {
		x.blockedOf = 10
	}
	for n := range goClients {
		x.goClient(n)
	}
	flags, why := nodeFlags()
	if why != "" {
		t.Logf("%s: only the Go client runs", why)
		jsClients = 0
	}
	const each = 250 // clients of one node
	for n := 0; n < jsClients; n += each {
		x.inNode(flags, min(each, jsClients-n))
	}
	x.await(patience, "all are in", func() bool { return x.joined == goClients+jsClients })

	w, n := k.producer(t), 0
	pace(rows, times, func(r row) bool {
		w.send("trades", partitionOf(r.key, cutsPartitions), []byte(r.key), r.payload)
		x.disturb(n, len(rows))
		n++
		return true
	})
	w.flush()
	x.exactly(k.read(t, "trades"), jsClients)
	t.Logf("%d trades, each exactly once at each of %d Go and %d JavaScript applications, of which %d read events, "+
		"over %d cuts and the end of a gateway; %d connections", len(rows), goClients, jsClients, x.blocked, x.cuts,
		x.opens)
	if n := x.nodes[0].metric("tapecast_streams_total"); n < float64(x.blocked) {
		t.Errorf("%v streams were read", n)
	}
	if x.cuts < len(x.proxies) || x.opens < 3*len(x.proxies)/2 {
		t.Error("this shows little")
	}
}

// applications are the clients, each behind a proxy of its own, and what they have seen.
type applications struct {
	t       *testing.T
	nodes   []*gateway // the second one is killed
	proxies []*cutProxy
	// One of so many clients in node finds WebSocket blocked, and reads events.
	blockedOf int
	blocked   int
	killed    bool
	cuts      int
	inputs    []io.Writer // of the programs in node

	mu     sync.Mutex
	joined int
	opens  int
	whole  int // clients in node that have all
	ended  int // programs in node that have said so
	mine   []*application
	faults []string
}

// application is one in this process.
type application struct {
	at   [cutsPartitions]int64
	sums [cutsPartitions]int32
}

// proxy returns where the next client connects, and its token.
func (x *applications) proxy() (url, token string) {
	node := x.nodes[len(x.proxies)%2]
	p := newCutProxy(x.t, node.public)
	x.proxies = append(x.proxies, p)
	return "ws://" + p.addr + "/ws", node.token(fmt.Sprint("u", len(x.proxies)))
}

func (x *applications) await(within time.Duration, what string, ok func() bool) {
	x.t.Helper()
	eventually(x.t, within, what, func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		return ok() || len(x.faults) > 0
	})
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.faults) > 0 {
		x.t.Fatalf("%d faults, the first ones: %q", len(x.faults), x.faults[:min(3, len(x.faults))])
	}
}

func (x *applications) do(f func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f()
}

func (x *applications) fault(format string, args ...any) {
	x.do(func() { x.faults = append(x.faults, fmt.Sprintf(format, args...)) })
}

func (x *applications) goClient(n int) {
	url, token := x.proxy()
	a := &application{at: [cutsPartitions]int64{-1, -1, -1}}
	x.mine = append(x.mine, a)
	tape, err := goclient.Connect(x.t.Context(), url,
		goclient.WithToken(func(context.Context) (string, error) { return token, nil }),
		goclient.OnState(func(s goclient.State, _ goclient.Ending) {
			if s == goclient.Open {
				x.do(func() { x.opens++ })
			}
		}),
		goclient.OnGap(func(g goclient.Gap) { x.fault("Go client %d: gap %+v", n, g) }),
		goclient.OnReset(func(r goclient.Reset) { x.fault("Go client %d: reset %+v", n, r) }),
		goclient.OnError(func(err *goclient.Error, room string) { x.fault("Go client %d: %v of %q", n, err, room) }))
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(tape.Close)
	first := sync.OnceFunc(func() { x.do(func() { x.joined++ }) })
	take := func(m goclient.Message) {
		part, offset, err := parsePos(m.Pos)
		id, ok := idOf(m.Data)
		x.do(func() {
			if err != nil || !ok || offset != a.at[part]+1 {
				x.faults = append(x.faults, fmt.Sprintf("Go client %d, which is at %v: %s %s", n, a.at, m.Pos, m.Data))
				return
			}
			a.at[part] = offset
			a.sums[part] = a.sums[part]*31 + int32(id)
		})
	}
	tape.Room("trades", goclient.OnJoined(func(goclient.Joined) { first() }), goclient.OnMessage(take))
}

// idOf returns the number of a trade, as it stands in its JSON.
func idOf(payload []byte) (id int64, ok bool) {
	m := tradeID.FindSubmatch(payload)
	if m == nil {
		return 0, false
	}
	id, err := strconv.ParseInt(string(m[1]), 10, 64)
	return id, err == nil
}

// inNode starts a program with so many clients of the bundle.
func (x *applications) inNode(flags []string, clients int) {
	bundle, err := filepath.Abs("../../../server/client/js/dist/client.js")
	if err != nil {
		x.t.Fatal(err)
	}
	cmd := exec.Command("node", append(flags, "testdata/client_trades.mjs", "file://"+bundle)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		x.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		x.t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		x.t.Fatal(err)
	}
	suite.reap.tell("pid", cmd.Process.Pid)
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		lines(out, x.hear)
	}()
	x.t.Cleanup(func() {
		in.Close() // it ends
		<-heard
		if err := cmd.Wait(); err != nil {
			x.t.Errorf("node: %v\n%s", err, said.String())
		}
		suite.reap.tell("ended", cmd.Process.Pid)
	})
	type begin struct {
		URL        string `json:"url"`
		Token      string `json:"token"`
		Partitions int    `json:"partitions"`
	}
	var begins []begin
	for range clients {
		url, token := x.proxy()
		if blocked := len(x.proxies)%x.blockedOf == 0; blocked {
			x.proxies[len(x.proxies)-1].refuse()
			x.blocked++
		}
		begins = append(begins, begin{url, token, cutsPartitions})
	}
	x.inputs = append(x.inputs, in)
	x.tell(in, map[string]any{"begins": begins})
}

func (x *applications) tell(in io.Writer, what any) {
	x.t.Helper()
	if err := json.NewEncoder(in).Encode(what); err != nil {
		x.t.Fatal(err)
	}
}

// hear takes a line of a program in node.
func (x *applications) hear(line []byte) {
	var s struct {
		Fault                string
		Joined, Whole, Opens int
		Done                 bool
	}
	err := json.Unmarshal(line, &s)
	x.do(func() {
		switch {
		case err != nil:
			x.faults = append(x.faults, fmt.Sprintf("node says %s", line))
		case s.Fault != "":
			x.faults = append(x.faults, s.Fault)
		case s.Done:
			x.ended++
			x.whole += s.Whole
			x.opens += s.Opens
		default:
			x.joined++
		}
	})
}

// disturb is called with each of so many trades. It cuts each client off about twice, and kills a gateway halfway.
func (x *applications) disturb(n, of int) {
	if n == of/2 {
		x.killed = true
		x.nodes[1].cmd.Process.Kill()
		for _, p := range x.proxies {
			p.moveTo(x.nodes[0].public)
		}
	}
	if rand.IntN(of) >= 2*len(x.proxies) {
		return
	}
	p := x.proxies[rand.IntN(len(x.proxies))]
	if !x.killed {
		p.moveTo(x.nodes[rand.IntN(2)].public)
	}
	p.current().cut(cutClose + cutHow(rand.IntN(2)))
	x.cuts++
}

// exactly compares what each application has with the topic, once all have so much.
func (x *applications) exactly(topic [][]record, inNode int) {
	x.t.Helper()
	var want application
	for p, records := range topic {
		want.at[p] = int64(len(records)) - 1
		for _, r := range records {
			id, _ := idOf(r.value)
			want.sums[p] = want.sums[p]*31 + int32(id)
		}
	}
	for _, in := range x.inputs {
		x.tell(in, map[string]any{"ends": want.at, "sums": want.sums})
	}
	long := patience
	if scaled().full() {
		long = 15 * time.Minute
	}
	x.await(long, "all trades at all applications", func() bool {
		for _, a := range x.mine {
			if *a != want {
				return false
			}
		}
		return x.ended == len(x.inputs)
	})
	if x.whole != inNode {
		x.t.Errorf("%d of %d JavaScript clients have the trades of the topic", x.whole, inNode)
	}
}
