package worker

import "testing"

func TestParseProcTCP(t *testing.T) {
	f := func(line, local, remote string, queue int64) {
		t.Helper()
		p, n, ok := parseProcTCP(line)
		if !ok || p.local.String() != local || p.remote.String() != remote || n != queue {
			t.Fatalf("%v, %d, %v", p, n, ok)
		}
	}
	f("   1: 0100007F:1F90 0200007F:8001 01 0000A0FF:00000000 00:00000000 00000000 0 0 1 1", "127.0.0.1:8080",
		"127.0.0.2:32769", 0xa0ff)
	f("   1: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000200007F:8001 01 00000001:00000000 00:0",
		"127.0.0.1:8080", "127.0.0.2:32769", 1)
	for _, bad := range []string{"", "  sl  local_address rem_address st tx_queue rx_queue",
		"1: 0100007F:1F90 0200007F 01 0:0"} {
		if _, _, ok := parseProcTCP(bad); ok {
			t.Fatalf("%q was read", bad)
		}
	}
}
