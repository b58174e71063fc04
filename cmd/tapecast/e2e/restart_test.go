package e2e

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

const restartConfig = `
rooms:
  - {match: "assets", class: market}
  - {match: "asks", class: market}
auto_join: []
ingest:
  routes:
    - {topic: assets, rooms: [assets], key: "{@key}", type: asset, tombstones: true}
    - {topic: asks, rooms: [asks], key: "{@key}", type: ask}
`

// TestLastValuesAfterRestart: a gateway that starts has the last values before it is ready. Of a
// compacted topic it has all, of another one those of a recent time.
func TestLastValuesAfterRestart(t *testing.T) {
	besideOthers(t)
	onEach(t, func(t *testing.T, k *cluster) {
		k.topic(t, "assets", 2)
		k.topic(t, "asks", 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := k.admin(t).IncrementalAlterConfigs(ctx,
			[]kafka.ConfigResource{{Type: kafka.ResourceTopic, Name: k.name("assets"),
				Config: []kafka.ConfigEntry{{Name: "cleanup.policy", Value: "compact",
					IncrementalOperation: kafka.AlterConfigOpTypeSet}}}})
		if err != nil {
			t.Fatal(err)
		}
		w := k.producer(t)
		old := time.Now().Add(-time.Hour)
		for i := range 3000 {
			key := fmt.Sprint("k", i%500)
			value := fmt.Appendf(nil, `{"i":%d}`, i)
			if i%7 == 0 {
				value = nil
			}
			w.sendAt("assets", partitionOf(key, 2), []byte(key), value, old)
			at := old
			if i >= 2000 {
				at = time.Now()
			}
			w.sendAt("asks", partitionOf(key, 2), []byte(key), fmt.Appendf(nil, `{"i":%d}`, i), at)
		}
		w.flush()
		assets, asks := k.read(t, "assets"), k.read(t, "asks")
		for p := range asks {
			recs := asks[p]
			for len(recs) > 0 && recs[0].ts < time.Now().Add(-10*time.Minute).UnixMilli() {
				recs = recs[1:]
			}
			asks[p] = recs
		}
		for range 2 {
			g := start(t, config(k, restartConfig))
			c := dial(t, g, dialing{query: "?token=" + g.token("1")})
			c.call("subscribe", map[string]any{"rooms": []string{"assets", "asks"}})
			for room, topic := range map[string][][]record{"assets": assets, "asks": asks} {
				c.await("the snapshot of "+room, func() bool { return len(c.rooms[room].taken) == 1 })
				got, want := c.rooms[room].taken[0].values, compacted(topic, ends(topic))
				if len(want) == 0 || !maps.Equal(got, want) {
					t.Errorf("%s: a snapshot of %d keys, want %d", room, len(got), len(want))
				}
			}
			c.check()
			g.stop(patience)
		}
	})
}
