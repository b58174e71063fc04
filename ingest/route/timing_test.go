package route

import (
	"testing"

	"tapecast/rooms"
)

// BenchmarkDecode measures checking and routing of one record.
func BenchmarkDecode(b *testing.B) {
	catalog := benchCatalog(b)
	router := compile(b, catalog,
		Route{Topic: "t", Rooms: []string{"trades", "trades:{s}"}, Key: "{s}", Type: "trade_update"})
	d := NewDecoder(1<<20, func(*rooms.Record) {})
	topic := router.Topic("t")
	m := message("BTCUSDT", benchTrade)
	b.SetBytes(int64(len(benchTrade)))
	for b.Loop() {
		d.Route(topic, m)
	}
}

const benchTrade = `{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,` +
	`"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}`

// benchCatalog returns the rooms that the benchmark's routes feed.
func benchCatalog(b *testing.B) *rooms.Catalog {
	b.Helper()
	class := &rooms.Class{Name: "stream"}
	catalog, err := rooms.NewCatalog([]*rooms.Pattern{{Match: "trades", Class: class},
		{Match: "trades:*", Class: class}})
	if err != nil {
		b.Fatal(err)
	}
	return catalog
}
