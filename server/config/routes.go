package config

import (
	"regexp"
	"slices"

	"tapecast/ingest/demo"
	"tapecast/ingest/route"
	"tapecast/rooms"
)

// Routes returns the routes that the gateway compiles: the configured ones, or those
// of the demo market that lead to rooms of the configuration.
func (cfg *Config) Routes() []route.Route {
	if len(cfg.Ingest.Routes) == 0 && cfg.Demo() {
		if catalog, err := cfg.Catalog(); err == nil {
			return demoRoutes(catalog)
		}
	}
	routes := make([]route.Route, len(cfg.Ingest.Routes))
	for i, r := range cfg.Ingest.Routes {
		routes[i] = route.Route{
			Topic: r.Topic, Rooms: r.Rooms, Key: r.Key, Type: r.Type,
			Match: r.Match, Payload: r.Payload, Envelope: r.Envelope, Format: r.Format,
			KeyFormat: r.KeyFormat, Partitioner: r.Partitioner, Tombstones: r.Tombstones,
			Keyframe: route.Keyframe(r.Keyframe),
		}
	}
	return routes
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
