package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

type process struct {
	at    address
	cmd   *exec.Cmd
	in    io.Closer // a peer stops when it is closed
	dir   string    // removed at the end; "": none
	ended chan error
}

// startWithin is how long a server may take to print its address.
const startWithin = 30 * time.Second

func startPeer(ctx context.Context, self, name string) (*process, error) {
	return start(ctx, name, exec.CommandContext(ctx, self, "serve", name), func(line []byte) (p address, ok bool) {
		return p, json.Unmarshal(line, &p) == nil && p.URL != ""
	})
}

// startGateway starts the gateway with a configuration for this comparison.
func startGateway(ctx context.Context, program string) (*process, error) {
	dir, err := os.MkdirTemp("", "tapecast-peers-")
	if err != nil {
		return nil, err
	}
	file, err := writeGateway(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p, err := start(ctx, "tapecast", exec.CommandContext(ctx, program, "run", "--config", file),
		func(line []byte) (address, bool) {
			var l struct{ Msg, Addr, Path, Admin string }
			ok := json.Unmarshal(line, &l) == nil && l.Msg == "listening"
			return address{URL: "ws://" + l.Addr + l.Path, Admin: "http://" + l.Admin}, ok
		})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p.dir = dir
	return p, nil
}

// start starts a server. One line of its output must hold its address.
func start(ctx context.Context, name string, cmd *exec.Cmd, find func(line []byte) (address, bool)) (*process, error) {
	p := &process{cmd: cmd, ended: make(chan error, 1)}
	out, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C must reach the driver alone
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.in = in
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	found, tail := make(chan address, 1), make(chan []byte, 1)
	go func() { // ends with the process's output
		var last []byte
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				tail <- bytes.TrimSpace(last)
				return
			}
			last = line
			if at, ok := find(line); ok {
				select {
				case found <- at:
				default:
				}
			}
		}
	}()
	go func() {
		err := cmd.Wait()
		_ = w.Close() // never fails
		p.ended <- err
	}()
	select {
	case p.at = <-found:
		return p, nil
	case last := <-tail:
		return nil, fmt.Errorf("%s ended at once: %s", name, last)
	case <-time.After(startWithin):
		return nil, errors.Join(fmt.Errorf("%s did not print its address within %s", name, startWithin), p.stop())
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), p.stop())
	}
}

func (p *process) stop() error {
	_ = p.in.Close()                          // stops a peer
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // stops the gateway
	late := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	<-p.ended // everything was measured, so its exit status changes nothing
	late.Stop()
	if p.dir == "" {
		return nil
	}
	return os.RemoveAll(p.dir)
}

// gatewayToken is the token of its internal port.
const gatewayToken = "a-token-for-measurements-on-this-machine"

// gatewaySecret signs the tokens of the gateway's clients, here only.
const gatewaySecret = "a key for measurements on this machine"

// gatewayConfig is bench/gateway.yaml with one room of bare values, like those of most peers.
const gatewayConfig = `server: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0", direct: true, write: true, token_file: gateway.token}
auth: {secret_file: gateway.key}
limits: {connections: 19500}
rooms:
  - {match: "bare", class: stream}
auto_join: []
ingest:
  market: false
  routes:
    - {topic: bench.bare, rooms: ["bare"], envelope: none}
`

// writeGateway writes the configuration to dir, and returns the file's name.
func writeGateway(dir string) (string, error) {
	if err := os.WriteFile(filepath.Join(dir, "gateway.key"), []byte(gatewaySecret), 0o600); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "gateway.token"), []byte(gatewayToken), 0o600); err != nil {
		return "", err
	}
	file := filepath.Join(dir, "gateway.yaml")
	return file, os.WriteFile(file, []byte(gatewayConfig), 0o600)
}
