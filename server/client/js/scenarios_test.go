package js

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"tapecast/server/client/scenario"
)

// TestScenarios plays every scenario with the bundle in node.
func TestScenarios(t *testing.T) {
	flags, why := nodeFlags()
	if why != "" {
		t.Skip("scenarios: " + why)
	}
	all, err := scenario.Load("../scenarios.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d scenarios", len(all))
	d, err := startNode(flags)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.stop()
		t.Logf("%s", d.said.String())
	})
	for _, s := range all {
		t.Run(strings.ReplaceAll(s.Name, " ", "-"), func(t *testing.T) {
			if err := scenario.Play(s, d); err != nil {
				t.Errorf("../scenarios.yaml: %v", err)
			}
		})
	}
}

// nodeFlags returns the flags that give node a WebSocket. why says why it has none.
func nodeFlags() (flags []string, why string) {
	if _, err := exec.LookPath("node"); err != nil {
		return nil, "there is no node"
	}
	for _, flags := range [][]string{nil, {"--experimental-websocket"}} { // node 22, node 20
		if exec.Command("node", append(flags, "-e", "WebSocket")...).Run() == nil {
			return flags, ""
		}
	}
	return nil, "node is older than 20.10"
}

// node is the client with test/driver.mjs around it.
type node struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
	said  strings.Builder
}

func startNode(flags []string) (*node, error) {
	n := &node{cmd: exec.Command("node", append(flags, "test/driver.mjs", "dist/client.js")...)}
	n.cmd.Stderr = &n.said
	var err error
	if n.in, err = n.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	n.lines = bufio.NewScanner(out)
	return n, n.cmd.Start()
}

func (n *node) stop() {
	_ = n.in.Close()
	_ = n.cmd.Process.Kill()
	_ = n.cmd.Wait() // it was killed
}

// Do implements scenario.Driver.
func (n *node) Do(command string, arg any) (answer any, saw []any, sockets int, err error) {
	b, err := json.Marshal(map[string]any{command: arg})
	if err != nil {
		return nil, nil, 0, err
	}
	if _, err := fmt.Fprintf(n.in, "%s\n", b); err != nil {
		return nil, nil, 0, err
	}
	for n.lines.Scan() {
		var line struct {
			Saw     any
			Fault   string
			Answer  any
			Sockets *int
		}
		if err := json.Unmarshal(n.lines.Bytes(), &line); err != nil {
			return nil, nil, 0, fmt.Errorf("the driver says %q: %w", n.lines.Text(), err)
		}
		switch {
		case line.Fault != "":
			return nil, saw, 0, errors.New(line.Fault)
		case line.Sockets != nil:
			return line.Answer, saw, *line.Sockets, nil
		default:
			saw = append(saw, line.Saw)
		}
	}
	return nil, saw, 0, errors.New("the driver has ended")
}
