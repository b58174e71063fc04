package scenario

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// Scenario is one rule for clients, as a play between the gateway and an application.
type Scenario struct {
	Name  string
	Steps []Step
}

// Step is one step: a verb and what it applies to, and the line of the file that it stands on.
type Step struct {
	Verb string
	Arg  any
	Line int
}

// Load reads a file of scenarios. Every verb must be known, and every name unique.
func Load(path string) ([]Scenario, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file []struct {
		Name  string      `yaml:"name"`
		Steps []yaml.Node `yaml:"steps"`
	}
	if err := yaml.Unmarshal(b, &file); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	seen := map[string]bool{}
	var all []Scenario
	for _, f := range file {
		if f.Name == "" || seen[f.Name] || len(f.Steps) == 0 {
			return nil, fmt.Errorf("%s: scenario %q has no name, the name of another one, or no steps", path, f.Name)
		}
		seen[f.Name] = true
		s := Scenario{Name: f.Name}
		for i := range f.Steps {
			step, err := stepOf(&f.Steps[i])
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %w", path, f.Steps[i].Line, err)
			}
			s.Steps = append(s.Steps, step)
		}
		all = append(all, s)
	}
	return all, nil
}

// stepOf reads "verb", or "verb: argument".
func stepOf(n *yaml.Node) (Step, error) {
	s := Step{Line: n.Line}
	if n.Kind == yaml.ScalarNode {
		s.Verb = n.Value
	} else {
		var m map[string]any
		if err := n.Decode(&m); err != nil {
			return s, err
		}
		if len(m) != 1 {
			return s, fmt.Errorf("a step has one verb, not %d", len(m))
		}
		for s.Verb, s.Arg = range m {
			s.Arg = plain(s.Arg)
		}
	}
	if _, ok := verbs[s.Verb]; !ok {
		return s, fmt.Errorf("no step is called %q", s.Verb)
	}
	return s, nil
}

// plain returns v as encoding/json would have read it, so that it compares with what was.
func plain(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("BUG: a step that JSON cannot say: %v", err))
	}
	var p any
	if err := json.Unmarshal(b, &p); err != nil {
		panic(fmt.Sprintf("BUG: JSON that JSON cannot read: %v", err))
	}
	return p
}

// has reports whether got has everything that want says. Objects may have more than that.
func has(got, want any) bool {
	w, ok := want.(map[string]any)
	if !ok {
		return reflect.DeepEqual(got, want)
	}
	g, ok := got.(map[string]any)
	if !ok {
		return false
	}
	for k, v := range w {
		if !has(g[k], v) {
			return false
		}
	}
	return true
}
