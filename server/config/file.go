package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxNodes and maxNesting bound what one file may expand to: aliases of aliases can
// make a screenful of YAML into any number of values, and one may name itself. The
// tree of keys is 6 deep; the rest is for merge keys.
const (
	maxNodes   = 100_000
	maxNesting = 32
)

// fileParser reads a YAML file against the tree of keys, as a koanf.Parser. It
// keeps what is right, typed as Config wants it, and collects the rest as faults,
// so that one bad line does not hide the next.
type fileParser struct {
	*collector
	file  string // as the operator named it
	dir   string // its directory
	nodes int    // visited so far
	depth int    // of the one being visited
}

// Marshal makes fileParser a koanf.Parser. Configurations are never written.
func (p *fileParser) Marshal(map[string]any) ([]byte, error) {
	return nil, errors.New("cannot write configurations")
}

// Unmarshal never fails. Faults are in the collector.
func (p *fileParser) Unmarshal(b []byte) (map[string]any, error) {
	p.sources[""] = p.at(1)
	dec := yaml.NewDecoder(bytes.NewReader(b))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		p.syntax(err)
		return nil, nil
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	if err := dec.Decode(&more); err == nil {
		p.addAt(p.at(more.Line), "", "a second YAML document begins here", "keep one document in the file")
	} else if !errors.Is(err, io.EOF) {
		p.syntax(err)
	}
	if v, ok := p.value(configTree, doc.Content[0], ""); ok {
		return v.(map[string]any), nil
	}
	return nil, nil
}

var yamlLine = regexp.MustCompile(`^line (\d+): `)

// syntax notes an error of the YAML library, with its line if it names one.
func (p *fileParser) syntax(err error) {
	msg, line := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		msg = msg[len(m[0]):]
		line, _ = strconv.Atoi(m[1])
	}
	p.addAt(p.at(line), "", "not valid YAML: "+msg, "fix the syntax there or just above")
}

func (p *fileParser) at(line int) source {
	return source{name: fmt.Sprintf("%s:%d", p.file, line), line: line, dir: p.dir}
}

// value reads the node of a key. It returns false if there is no usable value.
func (p *fileParser) value(k *key, n *yaml.Node, path string) (any, bool) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	p.nodes++
	p.depth++
	defer func() { p.depth-- }()
	if p.nodes > maxNodes || p.depth > maxNesting {
		p.add("", fmt.Sprintf("aliases expand to more than %d values, or are nested %d deep", maxNodes, maxNesting),
			"write the values out")
		return nil, false
	}
	empty := n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
	switch {
	case k.scalar():
		return p.scalar(k, n, path, empty)
	case empty && (k.kind == kindConditions || k.kind == kindTexts): // a rule that is left out protects nothing
		p.add(path, "has no value", "write %s, or remove the line", k.wants())
		return nil, false
	case k.kind == kindTexts && n.Kind == yaml.ScalarNode:
		text, ok := p.scalar(&key{kind: kindString, typ: stringType}, n, path, empty)
		if !ok {
			return nil, false
		}
		return []string{text.(string)}, true
	case empty: // a section whose lines are all commented out
		return nil, false
	case k.kind == kindStrings || k.kind == kindList || k.kind == kindTexts:
		return p.list(k, n, path)
	case n.Kind != yaml.MappingNode:
		p.add(path, "cannot take "+nodeKind(n, path), "write %s", k.wants())
		return nil, false
	}
	return p.mapping(k, n, path), true
}

// scalar reads one value. Numbers and truth values must be written without quotes, since a quoted
// "100" is most often a mistake in a template.
func (p *fileParser) scalar(k *key, n *yaml.Node, path string, empty bool) (any, bool) {
	if empty {
		p.add(path, "has no value", "write %s, or remove the line for the default", k.wants())
		return nil, false
	}
	tag, ok := n.ShortTag(), n.Kind == yaml.ScalarNode
	switch k.kind {
	case kindBool:
		ok = ok && tag == "!!bool"
	case kindInt:
		ok = ok && tag == "!!int"
	case kindFloat:
		ok = ok && (tag == "!!int" || tag == "!!float")
	}
	if ok {
		v, err := k.parse(n.Value)
		switch {
		case err == nil:
			return v, true
		case errors.As(err, new(*tooMuchError)):
			p.add(path, err.Error(), "write less, or remove the line for the default")
			return nil, false
		}
	}
	p.add(path, "cannot take "+nodeKind(n, path), "write %s", k.wants())
	return nil, false
}

func (p *fileParser) list(k *key, n *yaml.Node, path string) (any, bool) {
	if n.Kind != yaml.SequenceNode {
		p.add(path, "cannot take "+nodeKind(n, path), "write %s", k.wants())
		return nil, false
	}
	if k.kind != kindList {
		texts := []string{}
		for i, item := range n.Content {
			p.sources[index(path, i)] = p.at(item.Line)
			if v, ok := p.value(&key{kind: kindString, typ: stringType}, item, index(path, i)); ok {
				texts = append(texts, v.(string))
			} else {
				texts = append(texts, "") // keeps the indexes of the others
			}
		}
		return texts, true
	}
	sections := []any{}
	for i, item := range n.Content {
		p.sources[index(path, i)] = p.at(item.Line)
		v, ok := p.value(k.elem, item, index(path, i))
		if !ok {
			v = map[string]any{}
			p.add(index(path, i), "is empty", "write its keys or remove it")
		}
		sections = append(sections, v)
	}
	return sections, true
}

// mapping reads a section, named sections or free texts. Written keys go before merged ones (<<).
func (p *fileParser) mapping(k *key, n *yaml.Node, path string) map[string]any {
	m, merged, lines := map[string]any{}, map[string]any{}, map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, node := n.Content[i], n.Content[i+1]
		if name.ShortTag() == "!!merge" {
			p.merge(k, node, path, merged)
			continue
		}
		if name.Kind == yaml.AliasNode {
			name = name.Alias
		}
		at, full := p.at(n.Content[i].Line), join(path, name.Value)
		if name.Kind != yaml.ScalarNode || name.Value == "" {
			p.addAt(at, path, "a key is "+nodeKind(name, path), "write a plain name before the colon")
			continue
		}
		if first, ok := lines[name.Value]; ok {
			p.addAt(at, full, fmt.Sprintf("is set twice, first in line %d", first), "keep one of the two")
			continue
		}
		lines[name.Value] = n.Content[i].Line
		sub := k.under(name.Value)
		if sub == nil {
			p.addAt(at, full, "unknown key", k.didYouMean(name.Value, path))
			continue
		}
		p.sources[full] = at
		if v, ok := p.value(sub, node, full); ok {
			m[name.Value] = v
		} else if sub.kind == kindSection {
			m[name.Value] = map[string]any{}
		}
	}
	maps.Copy(merged, m)
	return merged
}

// merge reads what a merge key names: a mapping, or a list of them in which the first wins.
func (p *fileParser) merge(k *key, n *yaml.Node, path string, into map[string]any) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	from := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		from = n.Content
	}
	for _, n := range slices.Backward(from) {
		if v, ok := p.value(k, n, path); ok {
			maps.Copy(into, v.(map[string]any))
		}
	}
}

// under returns the key that may stand below k under this name, or nil.
func (k *key) under(name string) *key {
	switch k.kind {
	case kindSection:
		return k.child(name)
	case kindNamed, kindRules:
		return k.elem
	case kindConditions:
		return &key{name: name, kind: kindTexts}
	default:
		return &key{name: name, kind: kindString, typ: stringType}
	}
}

// didYouMean returns the remedy for an unknown key: the nearest beside it, or its name elsewhere.
func (k *key) didYouMean(name, path string) string {
	names := k.names()
	if k == tierTree && configTree.child("limits").child(name) != nil {
		return "it is no account's: set limits." + name + ", which is of an address or of the node"
	}
	if n := nearest(name, names); n != "" {
		return fmt.Sprintf("did you mean %s?", join(path, n))
	}
	if paths := configTree.pathsTo(name, ""); len(paths) > 0 {
		return "did you mean " + strings.Join(paths, " or ") + "?"
	}
	return "known here: " + strings.Join(names, ", ")
}

// nodeKind returns what kind of node was found. Text is not shown where it may be a secret.
func nodeKind(n *yaml.Node, path string) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "keys of its own"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case within(path, "auth"):
		return "this"
	case n.ShortTag() == "!!str":
		return fmt.Sprintf("the text %q", n.Value)
	default:
		return n.Value
	}
}
