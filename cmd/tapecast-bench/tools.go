package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"tapecast/bench"
	"tapecast/bench/job"
	"tapecast/bench/link"
	"tapecast/bench/pool"
)

func runCommand() *cobra.Command {
	cmd := command("run")
	// The flags are those of the scenario that the file names.
	cmd.DisableFlagParsing, cmd.Args = true, nil
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 || args[0] == "-h" || args[0] == "--help" {
			return cmd.Help()
		}
		if strings.HasPrefix(args[0], "-") {
			return job.Inputf("the file must come first: %s", cmd.Use)
		}
		sub, err := prepareScenario(cmd.Root(), args[0], args[1:])
		switch {
		case errors.Is(err, pflag.ErrHelp):
			return sub.Help()
		case err != nil:
			return job.Inputf("%v", err)
		}
		sub.SetContext(cmd.Context())
		if err := begin(sub, nil); err != nil { // its flags were not parsed before
			return err
		}
		return sub.RunE(sub, nil)
	}
	return cmd
}

// prepareScenario finds the subcommand that a file names. It sets its flags from args, and
// the flags that args do not have from the file.
func prepareScenario(root *cobra.Command, file string, args []string) (*cobra.Command, error) {
	keys, values, err := readScenario(file)
	if err != nil {
		return nil, err
	}
	name := values["scenario"]
	if name == nil {
		return nil, fmt.Errorf("%s names no scenario: add a line like `scenario: keyed`", file)
	}
	var names []string
	for _, c := range root.Commands() {
		if !c.Hidden && c.Name() != "run" && c.RunE != nil {
			names = append(names, c.Name())
		}
	}
	if !slices.Contains(names, name.Value) {
		return nil, fmt.Errorf("%s:%d: unknown scenario %q%s", file, name.Line, name.Value, nearest(name.Value, names))
	}
	sub, _, err := root.Find([]string{name.Value})
	if err != nil {
		return nil, err
	}
	if err := sub.ParseFlags(args); err != nil {
		return sub, err
	}
	if rest := sub.Flags().Args(); len(rest) > 0 {
		return nil, fmt.Errorf("%q: only flags may follow the file", rest[0])
	}
	for _, key := range keys {
		if key == "scenario" {
			continue
		}
		f := sub.Flags().Lookup(key)
		if f == nil || key == "help" {
			var known []string
			sub.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
			return nil, fmt.Errorf("%s:%d: unknown key %q of scenario %s%s", file, values[key].Line, key, name.Value,
				nearest(key, known))
		}
		if f.Changed {
			continue // the command line has set it
		}
		if err := setFlag(f, values[key]); err != nil {
			return nil, fmt.Errorf("%s:%d: %s: %w", file, values[key].Line, key, err)
		}
	}
	return sub, nil
}

// readScenario returns the keys of a file in their order, and the values.
func readScenario(file string) ([]string, map[string]*yaml.Node, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the scenario: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	dec := yaml.NewDecoder(f)
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil, fmt.Errorf("%s is empty: add lines like `scenario: keyed`", file)
	case err != nil:
		return nil, nil, fmt.Errorf("cannot read %s: %s", file, strings.TrimPrefix(err.Error(), "yaml: "))
	case doc.Content[0].Kind != yaml.MappingNode:
		return nil, nil, fmt.Errorf("%s holds no keys: add lines like `scenario: keyed`", file)
	}
	if !errors.Is(dec.Decode(&yaml.Node{}), io.EOF) {
		return nil, nil, fmt.Errorf("%s holds more than one document: a file is one scenario", file)
	}
	var keys []string
	values := map[string]*yaml.Node{}
	for list := doc.Content[0].Content; len(list) > 0; list = list[2:] {
		key := list[0].Value
		if values[key] != nil {
			return nil, nil, fmt.Errorf("%s:%d: %q is there twice", file, list[0].Line, key)
		}
		keys = append(keys, key)
		values[key] = list[1]
	}
	return keys, values, nil
}

// setFlag sets a flag to a value, or a list, of the file.
func setFlag(f *pflag.Flag, v *yaml.Node) error {
	list, isList := f.Value.(pflag.SliceValue)
	switch {
	case v.Kind == yaml.ScalarNode && v.Tag != "!!null":
		return f.Value.Set(v.Value)
	case v.Kind != yaml.SequenceNode || !isList:
		return errors.New("it must be a plain value")
	}
	var items []string
	for _, item := range v.Content {
		if item.Kind != yaml.ScalarNode {
			return errors.New("it must be a list of plain values")
		}
		items = append(items, item.Value)
	}
	return list.Replace(items)
}

// nearest returns a hint at the word that was probably meant.
func nearest(word string, known []string) string {
	slices.Sort(known)
	best, least := "", len(word)/2+1
	for _, k := range known {
		if d := levenshtein.ComputeDistance(word, k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ": known are " + strings.Join(known, ", ")
	}
	return fmt.Sprintf(": did you mean %q?", best)
}

func compareCommand() *cobra.Command {
	var html string
	cmd := command("compare")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := cobra.ExactArgs(2)(cmd, args); err != nil {
			return job.Inputf("%v", err)
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := bench.Compare(args[0], args[1])
		if err != nil {
			return err
		}
		if err := c.WriteText(cmd.OutOrStdout()); err != nil {
			return err
		}
		return writeFile(html, c.WriteHTML)
	}
	cmd.Flags().StringVar(&html, "html", "", "also write the comparison as a page with charts to `file`")
	return cmd
}

func agentCommand() *cobra.Command {
	var listen, keyFile string
	cmd := command("agent")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
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

func linkCommand() *cobra.Command {
	c := link.Config{Name: "tapecast"}
	cmd := command("link")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return link.Serve(cmd.Context(), c, func() {
			fmt.Fprintf(cmd.OutOrStdout(), "%s-near has %s, %s-far has %s; %s each way\n", c.Name, link.Near,
				c.Name, link.Far, c.Delay)
		})
	}
	f := cmd.Flags()
	f.DurationVar(&c.Delay, "delay", 50*time.Millisecond, "delay of a packet in each direction")
	f.StringVar(&c.Name, "name", c.Name, "`prefix` of the names of the namespaces")
	f.IntVar(&c.Queue, "queue", 0, "most `packets` under way in one direction; more are dropped (default 100,000)")
	return cmd
}
