package ingest

import (
	"fmt"
	"strings"
)

// fieldTree holds the paths that a topic's routes read, so that one pass over
// a value finds all of them. Each path has a slot.
type fieldTree struct {
	root  fieldNode
	slots int
	nodes int
}

// fieldNode is one step of some paths. The root has no name.
type fieldNode struct {
	name string
	id   int // index into scanner.seen
	slot int // -1: no path ends here
	kids []*fieldNode
}

func newFieldTree() *fieldTree {
	return &fieldTree{root: fieldNode{slot: -1}, nodes: 1}
}

// add gives the slot of a path such as metadata.userId.
func (t *fieldTree) add(path string) (slot int, err error) {
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

func (t *fieldTree) kid(at *fieldNode, name string) *fieldNode {
	for _, n := range at.kids {
		if n.name == name {
			return n
		}
	}
	n := &fieldNode{name: name, id: t.nodes, slot: -1}
	t.nodes++
	at.kids = append(at.kids, n)
	return n
}
