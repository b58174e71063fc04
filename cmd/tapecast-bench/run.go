package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"tapecast/bench/job"
)

func runCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run FILE.yaml [flags]",
		Short: "Run a scenario that a file describes",
		Long: "The file names the scenario, a subcommand, and its flags without their dashes: `scenario: keyed`,\n" +
			"`clients: 15000`. Lists may be lists. Flags of that subcommand on the command line override the file.",
		Example: `  tapecast-bench run bench/scenarios/kafkorama.yaml --secret-file key --brokers localhost:9092`,
		// The flags are those of the scenario that the file names.
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
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
		},
	}
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
