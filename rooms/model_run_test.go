package rooms_test

import (
	"flag"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// What has been done so far, and before the first fault.
var modelSteps, modelFrames, modelFault atomic.Int64

// Unless flags say otherwise: some 200,000 steps.
func init() {
	for name, value := range map[string]string{"rapid.checks": "2000", "rapid.steps": "100",
		"rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
}

func modelProperty(t *rapid.T) {
	good := false
	defer func() {
		if !good { // or the drawn bytes have run out
			modelFault.CompareAndSwap(0, modelSteps.Load())
		}
	}()
	w := newWorld(t)
	actions := w.actions()
	actions[""] = w.check
	t.Repeat(actions)
	w.t = t
	for _, n := range w.nodes {
		n.tb.T = t
	}
	w.end()
	good = true
}

// TestModel: whatever members, nodes and topics do, every frame and position is what the
// model says. -rapid.checks and -rapid.steps make it run for longer.
func TestModel(t *testing.T) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the first fault after %d steps", modelFault.Load())
		}
	})
	rapid.Check(t, modelProperty)
	t.Logf("%d steps, %d frames", modelSteps.Load(), modelFrames.Load())
}

// FuzzModel draws what happens from the fuzzer's bytes.
func FuzzModel(f *testing.F) {
	rnd := rand.NewChaCha8([32]byte{})
	for range 8 {
		b := make([]byte, 4096)
		_, _ = rnd.Read(b)
		f.Add(b)
	}
	f.Fuzz(rapid.MakeFuzz(modelProperty))
}
