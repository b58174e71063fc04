package heartbeat

import "testing"

// TestBeat: each Begin is another turn, busy until End, whatever came before.
func TestBeat(t *testing.T) {
	var b Beat
	if _, busy := b.Turn(); busy {
		t.Error("busy before it began")
	}
	seen := map[uint64]bool{}
	for i, begin := range []bool{true, true, false, true, false, false, true} {
		if begin {
			b.Begin()
		} else {
			b.End()
		}
		n, busy := b.Turn()
		if busy != begin || busy && seen[n] {
			t.Errorf("step %d: turn %d, busy %t", i, n, busy)
		}
		seen[n] = true
	}
}

func BenchmarkTurn(b *testing.B) {
	var beat Beat
	for b.Loop() {
		beat.Begin()
		beat.End()
	}
}
