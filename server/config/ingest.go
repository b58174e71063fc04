package config

import "tapecast/ingest/route"

// Ingest routes records to rooms.
type Ingest struct {
	// Routes lists the routes. Every route that fits a record applies. Default none, or in the demo
	// those of its market.
	Routes []Route `koanf:"routes"`
	// Unmatched says what happens to records that fit no route's match. ignore (default) counts
	// them. dead_letter also sends them to kafka.dead_letter.
	Unmatched string `koanf:"unmatched"`
	// Market feeds the embedded broker from the generated market. Default true.
	Market bool `koanf:"market"`
}

// Route sends the records of a topic to rooms. Its keys are documented where it is compiled.
type Route = route.Route
