package e2e

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// run runs all tests, between the start and the end of what they share.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tapecast-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	suite.dir = dir
	if err := writeAdminToken(adminTokenFile()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	suite.reap, err = startReaper(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer suite.reap.stop()
	if flag.Lookup("test.run").Value.String() == "" && noKafka() == "" {
		go sharedKafka() // it takes seconds, and tests without Kafka don't wait for it
	}
	return m.Run()
}

func writeAdminToken(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(adminToken), 0o600)
}

// suite is what all tests share.
var suite struct {
	dir  string // the reaper removes it
	reap *reaper

	build    sync.Once
	buildErr error

	onKafka atomic.Int64 // tests that used the real cluster so far
}

// built returns the gateway. It is built on first use in the same way as the test itself:
// with the race detector if the test has it, with counters if GOCOVERDIR is set.
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

// reaper is a shell that ends what the suite has left running, and removes its files. It
// acts when its input closes, so also when a timeout or a signal ends the suite.
type reaper struct {
	mu  sync.Mutex
	in  io.WriteCloser
	cmd *exec.Cmd
}

const reaperScript = `
trap '' INT TERM HUP
declare -A pids dirs nets
while read -r what arg; do
  case $what in
    pid) pids[$arg]=1 ;;  ended) unset "pids[$arg]" ;;
    up) dirs[$arg]=1 ;;   down) unset "dirs[$arg]" ;;
    network) nets[$arg]=1 ;; offline) unset "nets[$arg]" ;;
  esac
done
for p in "${!pids[@]}"; do kill -KILL "$p"; done
for d in "${!dirs[@]}"; do SIGNAL=KILL "$1" "$d"; done
for n in "${!nets[@]}"; do ip netns delete "$n"; done
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
