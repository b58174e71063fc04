package e2e

import (
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"sync"
)

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
