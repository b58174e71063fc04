package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing wrong with a configuration.
type Fault struct {
	// At is where the value came from: "tapecast.yaml:12", "TAPECAST_LOG_LEVEL",
	// "--listen"; "built-in" if nothing set it.
	At string
	// Key is the path of the key: "rooms[2].class".
	Key string
	// Msg is what is wrong. Do is the remedy, unless Msg contains it.
	Msg, Do string

	line int // for the order: lines of the file first
}

// String returns the fault in one line.
func (f Fault) String() string {
	s := f.At + ": "
	if f.Key != "" {
		s += f.Key + ": "
	}
	if s += f.Msg; f.Do != "" {
		s += "; " + f.Do
	}
	return s
}

// Faults is everything that is wrong with a configuration, in the order of the file, the
// environment, the flags and the defaults.
type Faults []Fault

// Error has one line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].String()
	}
	return strings.Join(lines, "\n")
}

// Under returns the faults of a section, and those of no key, such as a file that cannot be read.
func (f Faults) Under(section string) Faults {
	return slices.DeleteFunc(slices.Clone(f), func(x Fault) bool { return x.Key != "" && !within(x.Key, section) })
}

func within(path, root string) bool {
	rest, ok := strings.CutPrefix(path, root)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

type source struct {
	name string // as in Fault.At
	line int    // 0: not in the file
	dir  string // the directory for relative file names; "": the working directory
}

// collector gathers faults and remembers where each key was set. It belongs to one Load.
type collector struct {
	faults Faults

	warnings []string        // what is odd but can be run
	told     map[Fault]bool  // an alias can reach a line again
	keys     map[string]bool // keys that have a fault
	sources  map[string]source
	demo     bool // no file and no brokers: `tapecast run` adds a secret and a token

	clients bool // try to make librdkafka's clients too
}

func newCollector() *collector {
	return &collector{told: map[Fault]bool{}, keys: map[string]bool{}, sources: map[string]source{}}
}

// source returns where a key was set, or else where the innermost key around it was.
func (c *collector) source(path string) source {
	for p := path; p != ""; p = p[:max(0, strings.LastIndexAny(p, ".["))] {
		if at, ok := c.sources[p]; ok {
			return at
		}
	}
	if at, ok := c.sources[""]; ok && path == "" {
		return at
	}
	return source{name: "built-in", line: 1 << 30}
}

func (c *collector) isSet(path string) bool {
	_, ok := c.sources[path]
	return ok
}

func (c *collector) addAt(at source, path, msg, do string) {
	f := Fault{At: at.name, Key: path, Msg: msg, Do: do, line: cmp.Or(at.line, 1<<29)}
	if !c.told[f] {
		c.told[f], c.keys[path] = true, true
		c.faults = append(c.faults, f)
	}
}

// add notes a fault in the value of a key. If the value was refused already, nothing is noted,
// since the consequences are not faults of their own.
func (c *collector) add(path, msg, do string, args ...any) {
	if c.has(path) {
		return
	}
	c.addAt(c.source(path), path, msg, fmt.Sprintf(do, args...))
}

func (c *collector) has(path string) bool { return c.keys[path] }

func (c *collector) sorted() Faults {
	slices.SortStableFunc(c.faults, func(a, b Fault) int { return a.line - b.line })
	return c.faults
}
