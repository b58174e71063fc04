package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

const pythonPage = "../../../server/web/docs/python.md"

// pythonRun runs what the page has, with a token from a file.
const pythonRun = `

async def token():
    with open(sys.argv[1]) as f:
        return f.read()

asyncio.run(main(token))
`

// heardPython is what the program of the page has printed.
type heardPython struct {
	ended chan struct{}
	said  bytes.Buffer // to be read once it has ended

	mu     sync.Mutex
	rooms  map[string][]string
	joined int
	others []string
}

func (h *heardPython) line(b []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch room, rest, _ := strings.Cut(string(b), " "); {
	case room == "trades", room == "orders:42":
		h.rooms[room] = append(h.rooms[room], rest)
	case strings.Contains(string(b), "auto_subscribed"):
		h.joined++
	default:
		h.others = append(h.others, string(b))
	}
}

func (h *heardPython) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	eventually(t, patience, what, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return ok()
	})
}

// pythonWith returns a Python that has the package websockets.
func pythonWith() (path string, ok bool) {
	for _, path := range []string{"python3", "/usr/bin/python3"} { // the first may be another one than Debian's
		if exec.Command(path, "-c", "import websockets").Run() == nil {
			return path, true
		}
	}
	return "", false
}

// pythonOfPage returns all Python of the page, for a gateway at this address.
func pythonOfPage(t *testing.T, addr string) string {
	t.Helper()
	page, err := os.ReadFile(pythonPage)
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	code.WriteString("import sys\nsys.stdout.reconfigure(line_buffering=True)\n")
	for _, block := range strings.Split(string(page), "\n```py\n")[1:] {
		block, _, _ = strings.Cut(block, "\n```\n")
		code.WriteString(block + "\n\n")
	}
	if strings.Count(code.String(), "127.0.0.1:8080") != 1 {
		t.Fatal("the page names the gateway's address not once")
	}
	return strings.Replace(code.String(), "127.0.0.1:8080", addr, 1) + pythonRun
}

// startPython starts the program of the page.
func startPython(t *testing.T, python, addr, tokenFile string) *heardPython {
	t.Helper()
	h := &heardPython{rooms: map[string][]string{}, ended: make(chan struct{})}
	cmd := exec.Command(python, written(t, "page.py", pythonOfPage(t, addr)), tokenFile)
	cmd.Stderr = &h.said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	suite.reap.tell("pid", cmd.Process.Pid)
	go func() {
		defer close(h.ended)
		lines(out, h.line)
		_ = cmd.Wait() // it is to end with an error
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-h.ended
		suite.reap.tell("ended", cmd.Process.Pid)
	})
	return h
}

// TestPython: the client of its page, in its exact words, behind a proxy that cuts it off. Its node is killed, and
// another one goes on. Each message comes once and in order, and a bad token ends the program.
func TestPython(t *testing.T) {
	if os.Getenv("TAPECAST_E2E_PYTHON") == "" {
		t.Skip("make python runs this: it takes Python and its package websockets")
	}
	python, ok := pythonWith()
	if !ok {
		t.Skip("make python installs it: there is no Python with the package websockets")
	}
	besideOthers(t)
	k := fakeCluster(t)
	for _, topic := range []string{"prices", "trades", "orders", "ticks"} {
		k.topic(t, topic, 1)
	}
	yaml := config(k, strings.Replace(browserConfig, "SECRET", fmt.Sprintf("%q", secret), 1))
	one, other := start(t, yaml), start(t, yaml)
	proxy := newCutProxy(t, one.public)
	tokenFile := written(t, "token", one.token("42"))
	h := startPython(t, python, proxy.addr, tokenFile)
	h.await(t, "the rooms", func() bool { return h.joined == 1 })
	w := k.producer(t)
	var sent []string
	cuts := []func(){
		func() {}, func() { proxy.current().cut(cutClose) }, func() { proxy.current().cut(cutReset) },
		func() { one.cmd.Process.Kill(); proxy.moveTo(other.public) },
	}
	for _, cut := range cuts {
		cut()
		for range 100 {
			n := len(sent)
			w.send("trades", 0, nil, fmt.Append(nil, n))
			w.send("orders", 0, []byte("42"), fmt.Append(nil, n))
			sent = append(sent, fmt.Sprint("None ", n)) // the routes name no key
		}
		w.flush()
		h.await(t, "all of it", func() bool {
			return len(h.rooms["trades"]) >= len(sent) && len(h.rooms["orders:42"]) >= len(sent)
		})
	}
	if err := os.WriteFile(tokenFile, []byte("bad"), 0o600); err != nil {
		t.Fatal(err)
	}
	proxy.current().cut(cutClose)
	within(t, patience, "the program ends", h.ended)
	if !strings.Contains(h.said.String(), "ConnectionRefusedError") {
		t.Errorf("it said %s", h.said.String())
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for room, got := range h.rooms {
		if !slices.Equal(got, sent) {
			t.Errorf("of %d messages of %s it has printed %q", len(sent), room, got)
		}
	}
	if h.joined < len(cuts) {
		t.Errorf("it has joined %d times", h.joined)
	}
	t.Logf("%d messages over %d connections; besides: %q", 2*len(sent), h.joined, h.others)
}
