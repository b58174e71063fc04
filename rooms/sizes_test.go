package rooms

import (
	"testing"
	"unsafe"
)

// There are hundreds of thousands of each on a node: doc.go names the figures.
func TestSizes(t *testing.T) {
	f := func(what string, size, most uintptr) {
		t.Helper()
		if size > most {
			t.Errorf("a %s takes %d bytes, more than %d", what, size, most)
		}
	}
	f("Room", unsafe.Sizeof(Room{}), 112)
	f("Sub", unsafe.Sizeof(Sub{}), 48)
	f("frame's index entry", unsafe.Sizeof(frameAt{}), frameSize)
	f("item of a batch", unsafe.Sizeof(item{}), 128)
}
