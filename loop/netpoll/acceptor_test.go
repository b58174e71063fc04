package netpoll

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLostIsAFailure: a connection that no poller could take, since its own descriptor was the last, counts
// as one that could not be accepted. Operators see it nowhere else.
func TestLostIsAFailure(t *testing.T) {
	var lost, failed []any
	e := &Engine{cfg: Config{Network: "tcp", Addr: "127.0.0.1:0", AwaitRoom: func() {},
		Accepted: func(netip.AddrPort) (any, *Socket) { return nil, nil },
		Lost:     func(owner any) { lost = append(lost, owner) },
		Failed:   func(err error) { failed = append(failed, err) },
	}}
	a, err := listen(e)
	if err != nil {
		t.Fatal(err)
	}
	a.last.owner = "it"
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	a.Accept()
	if len(lost) != 1 || lost[0] != "it" || len(failed) != 1 || !errors.Is(failed[0].(error), unix.EMFILE) {
		t.Errorf("lost %v, failed %v", lost, failed)
	}
}
