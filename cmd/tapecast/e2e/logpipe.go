package e2e

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// logPipe is a gateway's standard error. The test decides when it is read.
type logPipe struct {
	r, w *os.File
	held sync.Mutex // held: the pipe is not read
	over chan struct{}
}

// newLogPipe makes a pipe that holds as little as the kernel allows: 4 KiB.
func newLogPipe(t *testing.T) *logPipe {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	return &logPipe{r: r, w: w, over: make(chan struct{})}
}

// whileHeld waits as long as the test stops the reading.
func (p *logPipe) whileHeld() {
	p.held.Lock()
	defer p.held.Unlock()
}

// feed reads lines into the gateway's log until the pipe ends.
func (p *logPipe) feed(g *gateway) {
	defer close(p.over)
	br := bufio.NewReaderSize(p.r, 1<<20)
	for {
		p.whileHeld()
		line, err := br.ReadBytes('\n')
		if line = bytes.TrimRight(line, "\n"); len(line) > 0 {
			g.logged(line)
		}
		if err != nil {
			return
		}
	}
}

// logging runs the demo with the log pipe until it is ready. file is its configuration.
func (p *logPipe) logging(t *testing.T) (g *gateway, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "tapecast.yaml")
	if err := os.WriteFile(file, []byte(config(nil, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	g = spawnLogging(t, p.w, nil, "run", "--config", file)
	p.w.Close()
	go p.feed(g)
	listening := g.waitLog(patience, "listening", nil)
	g.public, g.admin = listening["addr"].(string), listening["admin"].(string)
	g.ready()
	g.waitLog(patience, "ready", nil)
	return g, file
}
