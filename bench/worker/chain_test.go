package worker

import (
	"fmt"
	"testing"
)

// TestChainOfOthers: a message of another publisher is a link of the room's chain.
func TestChainOfOthers(t *testing.T) {
	r := testReader(t, false, true)
	other := func(room string, n int64) {
		t.Helper()
		p := fmt.Sprintf(`{"room":%q,"type":"t","pos":"0:%d","prev":"0:%d","ts":1,"data":{"their":"own"}}`, room, n,
			n-1)
		if err := r.otherFrame(0, []byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	own := func(n int64) {
		t.Helper()
		if err := r.chain.follow(0,
			fmt.Appendf(nil, `{"room":"trades","type":"t","pos":"0:%d","prev":"0:%d","ts":1,"data":`,
				n, n-1)); err != nil {
			t.Fatal(err)
		}
	}
	other("trades", 1) // before the first message of the run
	own(5)
	other("trades", 6)
	other("prices", 6) // a room that is not followed: it may be conflated
	other("prices", 9)
	if err := r.otherFrame(0, []byte(`{"room":"trades","type":"t","key":"k","ts":1,"data":null}`)); err != nil {
		t.Fatal(err)
	}
	own(7)
	if r.chain.breaks != 0 || r.others != 5 {
		t.Errorf("%d breaks, the first %s; %d of others", r.chain.breaks, r.chain.first, r.others)
	}
	if other("trades", 9); r.chain.breaks != 1 {
		t.Errorf("%d breaks where one was lost", r.chain.breaks)
	}
}
