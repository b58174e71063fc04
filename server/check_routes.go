package server

import "tapecast/rooms"

// checkRoutes checks what the routes say, against the catalog of rooms.
func (c *collector) checkRoutes(cfg *Config, catalog *rooms.Catalog) {
	if len(cfg.Ingest.Routes) == 0 && !cfg.Demo() && !c.has("ingest.routes") {
		c.addAt(c.place("kafka.brokers"), "ingest.routes", "kafka.brokers is set, but no route leads from a topic to rooms", "write ingest.routes")
	}
}
