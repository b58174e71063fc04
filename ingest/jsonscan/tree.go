package jsonscan

import (
	"fmt"
	"strings"
)

// Tree holds the wanted paths, so that one pass over a text finds all. Each has a slot.
type Tree struct {
	root  node
	slots int
	nodes int
}

// node is one step of one or more paths. The root has no name.
type node struct {
	name string
	id   int // index into Scanner.first
	slot int // -1: no path ends here
	kids []*node
}

// NewTree returns a tree without paths.
func NewTree() *Tree {
	return &Tree{root: node{slot: -1}, nodes: 1}
}

// Add adds a path such as metadata.userId and returns its slot. The same path has the same slot.
func (t *Tree) Add(path string) (slot int, err error) {
	at := &t.root
	for _, name := range strings.Split(path, ".") {
		if name == "" {
			return 0, fmt.Errorf("has the path %q with an empty step: write names with single dots between them", path)
		}
		at = t.kid(at, name)
	}
	if at.slot < 0 {
		at.slot = t.slots
		t.slots++
	}
	return at.slot, nil
}

// Slots returns the number of slots.
func (t *Tree) Slots() int { return t.slots }

func (t *Tree) kid(at *node, name string) *node {
	for _, n := range at.kids {
		if n.name == name {
			return n
		}
	}
	n := &node{name: name, id: t.nodes, slot: -1}
	t.nodes++
	at.kids = append(at.kids, n)
	return n
}
