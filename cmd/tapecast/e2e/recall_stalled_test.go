package e2e

import (
	"fmt"
	"testing"
	"time"
)

// TestTwoStalledResumes: two clients ask for six megabytes each, of the eight that may be held,
// and do not read. Other clients resume beside them as they do without them.
func TestTwoStalledResumes(t *testing.T) {
	k := fakeCluster(t)
	k.topic(t, "orders", 2)
	g := start(t, config(k, greedyConfig+fmt.Sprintf("kafka: {brokers: [%s], recall_memory: 8MiB}\n", k.brokers)))
	epoch := epochIn(t, g, "seed", "all")
	w := k.producer(t)
	const records, users = 12_000, 20
	for i := range records {
		w.send("orders", int32(i%2), fmt.Append(nil, "h", i%users), fmt.Appendf(nil, `{"i":%d,"pad":"%0500d"}`, i, i))
	}
	w.flush()
	eventually(t, patience, "all is read", func() bool { return g.metric("tapecast_ingest_records_total") == records })
	g.forgets()

	position := func(off int) map[string]any { return map[string]any{"epoch": epoch, "0": off, "1": off} }
	round := func(what string) (slowest time.Duration) {
		for i := range users {
			user := fmt.Sprint("h", i)
			room := "orders:" + user
			c := dial(t, g, dialing{query: "?token=" + g.token(user)})
			began := time.Now()
			if r, err := goneOn(c, room, position(records/2-1001)); err != nil || r.Error != nil {
				t.Fatalf("%s: %v %+v", what, err, r)
			}
			c.await("its orders", func() bool { return len(c.rooms[room].frames) == 2000/users })
			slowest = max(slowest, time.Since(began))
			c.check()
			c.leave()
		}
		return slowest
	}
	alone := round("alone")
	for i := range 2 {
		c := dial(t, g, dialing{query: "?token=" + g.token(fmt.Sprint("s", i)), sums: true})
		c.reading.Lock()
		defer c.reading.Unlock()
		c.request("1", "subscribe",
			map[string]any{"rooms": []string{"all"}, "since": map[string]any{"all": position(-1)}})
	}
	eventually(t, patience, "both are being sent the past", func() bool {
		return g.metric("tapecast_recall_handed_bytes") > 0
	})
	beside := round("beside two that stall")
	t.Logf("the slowest of %d took %s alone and %s beside two that stall; %v parts were taken back",
		users, alone, beside, g.metric("tapecast_recall_taken_back_total"))
	if most := max(time.Second, 3*alone); beside > most {
		t.Errorf("beside two that stall it took %s, not %s", beside, most)
	}
}
