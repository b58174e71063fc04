package config

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"tapecast/ingest/demo"
	"tapecast/ingest/route"
	"tapecast/rooms"
)

func (c *collector) checkClasses(cfg *Config) {
	for _, name := range slices.Sorted(maps.Keys(cfg.Classes)) {
		cl, path := cfg.Classes[name], "classes."+name
		if strings.ContainsAny(name, ". \t{}[]") {
			c.add(path, "is not a name for a class", "use letters, digits, dashes and underscores")
		}
		c.oneOf(path+".lag", cmp.Or(cl.Lag, "skip"), "skip", "close")
		if t, ok := ParseTemplate(cl.Owner); cl.Owner != "" && (!ok || !t.isOwner()) {
			c.add(path+".owner", fmt.Sprintf("%q is not an owner", cl.Owner),
				"write \"{sub}\" for private rooms, \"{claims.accounts[]}\" for those of each account in a claim, or "+
					"remove it for public ones")
		}
		if cl.Retain.Bytes > cfg.Memory.Tapes && c.isSet(path+".retain.bytes") {
			c.add(path+".retain.bytes",
				fmt.Sprintf("%s is more than memory.tapes (%s), which all rooms share", cl.Retain.Bytes,
					cfg.Memory.Tapes), "set less, or memory.tapes to more")
		}
		if cl.Conflate && cl.Lag == "close" {
			c.add(path+".lag", "close contradicts conflate: true",
				"set skip: a conflated member gets the newest values instead of being cut")
		}
		if cl.Compress && cl.Owner != "" {
			c.add(path+".compress",
				"true contradicts owner: a private message is one user's, and would be deflated for that user alone",
				"set false")
		}
	}
}

func (cl Class) class(name string) *rooms.Class {
	lag := rooms.LagSkip
	if cl.Lag == "close" {
		lag = rooms.LagClose
	}
	return &rooms.Class{
		Name: name, Conflate: cl.Conflate, Snapshot: cl.Snapshot,
		ConflateBytes: int64(cl.ConflateAfter.Bytes), ConflateAge: cl.ConflateAfter.Age,
		RetainBytes: int64(cl.Retain.Bytes), RetainAge: cl.Retain.Age,
		Lag: lag, Owner: cl.Owner, Keep: cl.Keep, Deflate: cl.Compress,
		Interval: cl.Interval, MaxKeys: cl.MaxKeys, KeyTTL: cl.KeyTTL,
	}
}

// Catalog returns the catalog of all rooms that may exist. Each call makes a new one,
// since compiling routes writes into its patterns.
func (cfg *Config) Catalog() (*rooms.Catalog, error) {
	classes := map[string]*rooms.Class{}
	for name, cl := range cfg.Classes {
		classes[name] = cl.class(name)
	}
	var patterns []*rooms.Pattern
	for _, r := range cfg.Rooms {
		patterns = append(patterns, &rooms.Pattern{Match: r.Match, Class: classes[r.Class], MaxRooms: r.MaxRooms})
	}
	return rooms.NewCatalog(patterns)
}

// checkRooms checks rooms, routes, auto_join and allow, which need each other.
func (c *collector) checkRooms(cfg *Config) {
	if len(cfg.Rooms) == 0 && !c.has("rooms") {
		c.add("rooms", "is empty, so that no room exists", "list patterns, or remove the line for the built-in ones")
	}
	catalog := c.catalog(cfg)
	c.checkRoutes(cfg, catalog)
	c.checkAutoJoin(cfg, catalog)
	c.checkAllow(cfg, catalog)
	c.checkAnonymous(cfg, catalog)
	c.checkConditions("auth.services", cfg.Auth.Services)
}

// catalog returns the catalog of the rooms without faults. A room of an unknown class is in it too,
// with a substitute class, so that a reference to it is not a further fault.
func (c *collector) catalog(cfg *Config) *rooms.Catalog {
	names := slices.Sorted(maps.Keys(cfg.Classes))
	var good []*rooms.Pattern
	taken := map[string]*rooms.Pattern{} // by the names they match
	for i, r := range cfg.Rooms {
		path := index("rooms", i)
		owned := strings.HasSuffix(r.Match, "{owner}")
		cl, ok := cfg.Classes[r.Class]
		switch {
		case r.Match == "":
			c.add(path+".match", "is missing", "write a pattern such as prices, \"prices:*\" or \"orders:{owner}\"")
			continue
		case r.Class == "":
			c.add(path+".class", "is missing", "use one of %s", strings.Join(names, ", "))
		case !ok:
			c.oneOf(path+".class", r.Class, names...)
		case owned && cl.Owner == "":
			c.add(path+".match",
				fmt.Sprintf("%q names an owner, but class %q is public: everybody could join", r.Match, r.Class),
				"give the class owner: \"{sub}\", or end the pattern in *")
			continue
		}
		if !ok {
			cl = Class{}
			if owned {
				cl.Owner = "{sub}"
			}
		}
		p := &rooms.Pattern{Match: r.Match, Class: cl.class(r.Class), MaxRooms: r.MaxRooms}
		if _, err := rooms.NewCatalog([]*rooms.Pattern{p}); err != nil {
			c.addSplit(path+".match", err, "fix the pattern")
			continue
		}
		names := p.Prefix()
		if !p.Literal() {
			names += "*"
		}
		if other := taken[names]; other != nil {
			_, err := rooms.NewCatalog([]*rooms.Pattern{other, p})
			c.addSplit(path+".match", err, "")
			continue
		}
		taken[names] = p
		good = append(good, p)
	}
	catalog, err := rooms.NewCatalog(good)
	if err != nil {
		panic(fmt.Sprintf("BUG: patterns that are each right make no catalog: %s", err))
	}
	return catalog
}

// addSplit notes another package's error, which says after its last colon what to do.
func (c *collector) addSplit(path string, err error, do string) {
	msg := strings.TrimPrefix(err.Error(), "rooms: ")
	if i := strings.LastIndex(msg, ": "); i > 0 {
		msg, do = msg[:i], msg[i+2:]
	}
	c.add(path, msg, "%s", do)
}

// checkAutoJoin checks the names as a join of a user would.
func (c *collector) checkAutoJoin(cfg *Config, catalog *rooms.Catalog) {
	const sub = "42"
	seen, bare := map[string]bool{}, ""
	if !c.isSet("auto_join") && c.isSet("rooms") {
		// The operator never saw these names: note one fault, where it began.
		lost := slices.DeleteFunc(slices.Clone(cfg.AutoJoin), func(name string) bool {
			_, _, ok := catalog.Resolve(strings.ReplaceAll(name, "{sub}", sub)) // the built-in ones have no other
			return ok
		})
		if len(lost) > 0 {
			c.addAt(c.source("rooms"), "auto_join",
				fmt.Sprintf("is not set, and of its built-in rooms these fit no pattern: %s", strings.Join(lost, ", ")),
				"write auto_join with rooms that do")
		}
		return
	}
	for i, name := range cfg.AutoJoin {
		path := index("auto_join", i)
		t, good := ParseTemplate(name)
		p, owner, ok := catalog.Resolve(t.with(sub))
		switch {
		case name == "" || !good || strings.Contains(t.Before+t.After, "*"):
			c.add(path, fmt.Sprintf("%q is not a room name", name),
				"write a whole name, in which {sub} may stand for the user, or {claims.NAME[]} for what a claim lists")
		case seen[name]:
			c.add(path, fmt.Sprintf("%q is named twice", name), "remove one")
		case !ok:
			c.add(path, fmt.Sprintf("%q fits no pattern of rooms", name), "%s", patternRemedy(name, "{sub}", catalog))
		case p.Class.Private() && owner != sub:
			c.add(path, fmt.Sprintf("%q is the private room of one user, so that no other could join", name),
				"write \"%s%s\"", p.Prefix(), p.Class.Owner)
		case p.Class.Private() && t.Hole != "" && t.Hole != p.Class.Owner && !c.hasUnder("rooms") &&
			!c.hasUnder("classes"):
			c.add(path, fmt.Sprintf("%q names rooms that belong to somebody else: the owner of class %q is %s", name,
				p.Class.Name, p.Class.Owner), "write \"%s%s\"", p.Prefix(), p.Class.Owner)
		case p.Bare && bare != "":
			c.add(path, fmt.Sprintf("%q and %q both have bare frames, of which a connection takes one room only", name,
				bare), "remove one")
		case p.Bare:
			bare = name
		}
		seen[name] = true
	}
}

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
