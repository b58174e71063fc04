package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"tapecast/bench/job"
	"tapecast/bench/pool"
)

func agentCommand() *cobra.Command {
	var listen, keyFile string
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Lend this machine's clients to runs that another machine drives",
		Example: `  # on each machine
  tapecast-bench agent --listen 10.0.0.7:7070 --key-file agents.key

  # on the one that drives them
  tapecast-bench fanout --agents 10.0.0.7:7070,10.0.0.8:7070 --agent-key-file agents.key \
      --target ws://gateway:8080/ws …`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := netip.ParseAddrPort(listen)
			if err != nil {
				return job.Inputf("--listen %q is not an address with a port", listen)
			}
			if keyFile == "" && !at.Addr().IsLoopback() {
				return job.Inputf("--listen %s can be reached from other machines: give --key-file, or "+
					"anybody could make it open connections", listen)
			}
			key, err := readKey("--key-file", keyFile)
			if err != nil {
				return err
			}
			ln, err := net.Listen("tcp", listen)
			if err != nil {
				return job.Inputf("--listen: %v", err)
			}
			fmt.Fprintln(cmd.ErrOrStderr(), "agent listening on "+ln.Addr().String())
			return pool.Agent(cmd.Context(), ln, key, cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&listen, "listen", "127.0.0.1:7070", "`address` and port to listen on")
	f.StringVar(&keyFile, "key-file", "", "`file` with a key that drivers must give")
	return cmd
}

func agentsOf(addrs []string, keyFile string) (job.Agents, error) {
	for _, a := range addrs {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return job.Agents{}, job.Inputf("--agents: %q is not host:port", a)
		}
	}
	key, err := readKey("--agent-key-file", keyFile)
	return job.Agents{Addrs: addrs, Key: key}, err
}

// readKey returns what a file holds, without the spaces around it.
func readKey(flag, file string) (string, error) {
	if file == "" {
		return "", nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", job.Inputf("%s: %v", flag, err)
	}
	key := strings.TrimSpace(string(b))
	if key == "" {
		return "", job.Inputf("%s %s is empty", flag, file)
	}
	return key, nil
}
