package server

import (
	"fmt"
	"testing"
	"time"
)

// TestDebts: what is remembered of payers is bounded, and forgotten once it is paid.
func TestDebts(t *testing.T) {
	b := newBudgets(&Default().Limits)
	rule := pace{int64(time.Second), int64(time.Minute)}
	for i := range uint64(2 * budgetShards * maxDebts) {
		b.charge(payer{kind: payConn, conn: i}, rule, 1, 1)
	}
	if n := b.debts(); n != budgetShards*maxDebts || b.forgone.Load() != uint64(n) {
		t.Errorf("%d debts, %d forgone", n, b.forgone.Load())
	}
	for range budgetShards {
		b.sweep(int64(2 * time.Second))
	}
	if n := b.debts(); n != 0 {
		t.Errorf("%d debts that are paid are remembered", n)
	}
	// Those that are paid make room.
	for round := range int64(3) {
		for i := range uint64(budgetShards * maxDebts / 2) {
			b.charge(payer{kind: payConn, conn: i, name: fmt.Sprint(round)}, rule, 1, round*int64(time.Hour))
		}
	}
	if n := b.debts(); n > budgetShards*maxDebts*6/10 {
		t.Errorf("%d debts", n)
	}
}
