// Package main_test runs the shipped binaries end to end: real processes, real
// sockets, the embedded broker's library always and a real Kafka where it is.
//
// go test -short makes it small (that is what runs under -race), and
// TAPECAST_E2E_FULL=1 makes it the runs that the acceptance table asks for.
package main_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// patience is the longest that a test waits for what should come at once.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tapecast-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	suite.dir = dir
	if err := writeAdminToken(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	suite.reap, err = startReaper(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer suite.reap.stop()
	return m.Run()
}

func writeAdminToken() error {
	if err := os.MkdirAll(filepath.Dir(adminTokenFile()), 0o700); err != nil {
		return err
	}
	return os.WriteFile(adminTokenFile(), []byte(adminToken), 0o600)
}

// suite is what all tests share.
var suite struct {
	dir  string // removed by the reaper
	reap *reaper

	build    sync.Once
	buildErr error

	kafka    sync.Once
	one      *cluster
	kafkaErr error
}

// built is the gateway, built on first use in the way the test itself was: with
// the race detector where it has it, with counters where GOCOVERDIR is set.
func built(t testing.TB) string {
	t.Helper()
	suite.build.Do(func() {
		args := []string{"build", "-o", filepath.Join(suite.dir, "tapecast")}
		if raceEnabled {
			args = append(args, "-race")
		}
		if os.Getenv("GOCOVERDIR") != "" {
			args = append(args, "-cover")
			if pkgs := os.Getenv("TAPECAST_COVERPKG"); pkgs != "" {
				args = append(args, "-coverpkg="+pkgs)
			}
		}
		out, err := exec.Command("go", append(args, "tapecast/cmd/tapecast")...).CombinedOutput()
		if err != nil {
			suite.buildErr = fmt.Errorf("cannot build the gateway: %w\n%s", err, out)
		}
	})
	if suite.buildErr != nil {
		t.Fatal(suite.buildErr)
	}
	return filepath.Join(suite.dir, "tapecast")
}

// reaper is a shell that ends what the suite has left running, and removes its
// files, even where the suite itself is ended by a timeout or a signal: it acts
// when its input closes.
type reaper struct {
	mu  sync.Mutex
	in  io.WriteCloser
	cmd *exec.Cmd
}

const reaperScript = `
trap '' INT TERM HUP
declare -A pids dirs
while read -r what arg; do
  case $what in
    pid) pids[$arg]=1 ;;  ended) unset "pids[$arg]" ;;
    up) dirs[$arg]=1 ;;   down) unset "dirs[$arg]" ;;
  esac
done
for p in "${!pids[@]}"; do kill -KILL "$p"; done
for d in "${!dirs[@]}"; do SIGNAL=KILL "$1" "$d"; done
rm -rf "$2"
`

func startReaper(dir string) (*reaper, error) {
	cmd := exec.Command("bash", "-c", reaperScript, "reaper", filepath.Join(kafkaHome(), "bin", "kafka-down"), dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the reaper: %w", err)
	}
	return &reaper{in: in, cmd: cmd}, nil
}

func (r *reaper) tell(what string, arg any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintln(r.in, what, arg)
}

func (r *reaper) stop() {
	r.in.Close()
	_ = r.cmd.Wait()
}

// scale is how much of everything the run does.
type scale struct {
	name        string
	tradeRows   int // of trade.tsv.gz, on Kafka
	tradeConns  int // clients of them, on Kafka
	smallRows   int // the same on kfake, which is not fast
	smallConns  int
	joins       int           // of TestMembershipsHoldExactlyTheirRecords
	joinConns   int           // the clients that make them
	rounds      int           // of bad input
	idle        int           // connections of a round that never authenticate
	outage      time.Duration // all brokers down
	demoSeconds int
}

func scaled() scale {
	switch {
	case os.Getenv("TAPECAST_E2E_FULL") == "1":
		return scale{"full", 1 << 30, 500, 10_000, 20, 100_000, 200, 10, 10_000, 30 * time.Second, 15}
	case testing.Short() || raceEnabled:
		return scale{"short", 5_000, 10, 2_000, 5, 300, 10, 2, 100, 5 * time.Second, 15}
	default:
		return scale{"normal", 40_000, 50, 10_000, 20, 3_000, 40, 4, 1_000, 10 * time.Second, 15}
	}
}

// eventually polls until ok holds; what says what is waited for. For what cannot
// be waited on otherwise: another process.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(within)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", within, what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// lines calls f with each line of r.
func lines(r io.Reader, f func([]byte)) {
	s := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := s.ReadBytes('\n')
		if line = bytes.TrimRight(line, "\n"); len(line) > 0 {
			f(line)
		}
		if err != nil {
			return
		}
	}
}

// within fails the test where the channel does not close in time.
func within(t testing.TB, d time.Duration, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("not within %s: %s", d, what)
	}
}
