package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"tapecast/ingest/demo"
	"tapecast/ingest/route"
	"tapecast/rooms"
)

func (c *collector) checkRoutes(cfg *Config, catalog *rooms.Catalog) {
	c.oneOf("ingest.unmatched", cfg.Ingest.Unmatched, "ignore", "dead_letter")
	if cfg.Ingest.Unmatched == "dead_letter" && cfg.Kafka.DeadLetter == "" {
		c.add("ingest.unmatched", "is dead_letter, but there is no dead-letter topic",
			"name one in kafka.dead_letter, or write ignore")
	}
	refused := maps.Clone(c.keys)
	routes := cfg.Routes()
	if len(cfg.Ingest.Routes) == 0 {
		if cfg.Demo() {
			c.checkDemo(catalog)
		} else if !c.has("ingest.routes") {
			c.addAt(c.source("kafka.brokers"), "ingest.routes",
				"kafka.brokers is set, but no route leads from a topic to rooms", "write ingest.routes")
		}
		return
	}
	_, _, faults := route.Compile(routes, catalog)
	for _, f := range faults {
		path := index("ingest.routes", f.Route) + "." + f.Field
		if !refused[path] { // a value that was refused is not missing
			c.addAt(c.source(path), path, f.Msg, "")
		}
	}
	for i, r := range routes {
		if r.Topic != "" && r.Topic == cfg.Kafka.DeadLetter {
			c.add(index("ingest.routes", i)+".topic",
				fmt.Sprintf("%q is kafka.dead_letter too, so that refused records would come back", r.Topic),
				"route another topic")
		}
	}
}

func (cfg *Config) routeWarnings() (out []string) {
	catalog, err := cfg.Catalog()
	if err != nil || len(cfg.Ingest.Routes) == 0 {
		return nil
	}
	router, _, _ := route.Compile(cfg.Routes(), catalog)
	for _, w := range router.Warnings() {
		out = append(out, index("ingest.routes", w.Route)+"."+w.Field+": "+w.Msg)
	}
	return out
}

// checkDemo checks that the demo market can feed the operator's rooms.
func (c *collector) checkDemo(catalog *rooms.Catalog) {
	if c.hasUnder("rooms") {
		return
	}
	routes := demoRoutes(catalog)
	if len(routes) == 0 {
		c.addAt(c.source("rooms"), "ingest.routes", "is not set, and the demo market feeds none of these rooms",
			"write ingest.routes, or keep some of the built-in rooms")
	}
	_, _, faults := route.Compile(routes, catalog)
	for _, f := range faults {
		c.addAt(c.source("rooms"), "ingest.routes",
			fmt.Sprintf("is not set, and the demo market's topic %s does not fit these rooms: %s %s",
				routes[f.Route].Topic, f.Field, f.Msg), "")
	}
}

// Routes returns the routes that the gateway compiles: the configured ones, or those
// of the demo market that lead to rooms of the configuration.
func (cfg *Config) Routes() []route.Route {
	if len(cfg.Ingest.Routes) == 0 && cfg.Demo() {
		if catalog, err := cfg.Catalog(); err == nil {
			return demoRoutes(catalog)
		}
	}
	return slices.Clone(cfg.Ingest.Routes)
}

var field = regexp.MustCompile(`\{[^}]*\}`)

// demoRoutes returns the demo's routes without those to rooms that are not in the configuration.
func demoRoutes(catalog *rooms.Catalog) []route.Route {
	var routes []route.Route
	for _, r := range demo.Routes() {
		r.Rooms = slices.DeleteFunc(r.Rooms, func(room string) bool {
			_, _, ok := catalog.Resolve(field.ReplaceAllString(room, "x"))
			return !ok
		})
		if len(r.Rooms) > 0 {
			routes = append(routes, r)
		}
	}
	return routes
}
