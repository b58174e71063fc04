package route

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"tapecast/ingest/jsonscan"
	"tapecast/rooms"
)

// Compile checks routes against the catalog and returns every fault at once. It
// sets Feed, Bare and Keyframed of the patterns that the routes feed. It returns
// the feeds too, one for each topic in the order of first mention. A router with
// faults must not be used.
func Compile(routes []Route, catalog *rooms.Catalog) (*Router, []*rooms.Feed, []Fault) {
	c := &compiler{
		catalog: catalog,
		source:  routes,
		router:  &Router{byName: map[string]*Topic{}},
		first:   map[*rooms.Pattern]int{},
		tombs:   map[string]bool{},
	}
	for i := range routes {
		c.tombs[routes[i].Topic] = c.tombs[routes[i].Topic] || routes[i].Tombstones
	}
	for _, p := range catalog.Patterns() {
		p.Feed, p.Bare, p.Keyframed = nil, false, false
	}
	for i := range routes {
		c.route(i)
	}
	c.landElsewhere()
	c.findTwice()
	c.warn()
	for _, t := range c.router.topics {
		if t.fields.Slots() == 0 {
			t.fields = nil
		}
	}
	slices.SortStableFunc(c.faults, func(a, b Fault) int { return a.Route - b.Route })
	return c.router, c.router.Feeds(), c.faults
}

type compiler struct {
	catalog *rooms.Catalog
	source  []Route
	router  *Router
	faults  []Fault
	first   map[*rooms.Pattern]int // the first route that feeds each
	tombs   map[string]bool        // topics with Route.Tombstones
	landed  []landing
}

type landing struct {
	index  int // of the route
	route  *route
	topic  *Topic
	room   *roomTemplate
	others []*rooms.Pattern // patterns with a longer prefix that its names may fall into
}

func (c *compiler) fault(route int, field, format string, args ...any) {
	c.faults = append(c.faults, Fault{route, field, fmt.Sprintf(format, args...)})
}

func (c *compiler) route(i int) {
	src := &c.source[i]
	t := c.topic(i, src.Topic)
	r := new(route)
	c.format(i, src, r)
	var ok bool
	if r.keys, ok = keyFormats[src.KeyFormat]; !ok {
		c.fault(i, "key_format", "%q is not known: write utf8, int32, int64, hex or base64", src.KeyFormat)
	}
	c.templates(i, src, t, r)
	if src.Partitioner != "" {
		if r.part = partitioners[src.Partitioner]; r.part == nil {
			known := slices.Sorted(maps.Keys(partitioners))
			c.fault(i, "partitioner", "%q is not a partitioner: choose one of %s", src.Partitioner,
				strings.Join(known, ", "))
		}
	}
	if len(src.Rooms) == 0 {
		c.fault(i, "rooms", "is empty: name at least one room such as \"prices\" or \"prices:{@key}\"")
	}
	r.rooms = make([]roomTemplate, 0, len(src.Rooms))
	for n, text := range src.Rooms {
		if slices.Contains(src.Rooms[:n], text) {
			c.fault(i, "rooms", "names %q twice, so each record would reach it twice: keep one", text)
			continue
		}
		tmpl, err := parseTemplate(text, t.fields)
		if err != nil {
			c.fault(i, "rooms", "%q %v", text, err)
			continue
		}
		r.rooms = append(r.rooms, roomTemplate{template: tmpl})
		c.land(i, t, r, &r.rooms[len(r.rooms)-1])
	}
	if !r.keysAs(r.keys) && src.KeyFormat != "" && ok {
		c.fault(i, "key_format", "is set, but no part of the route takes {@key}: leave it out")
	}
	t.routes = append(t.routes, r)
	t.json = t.json || !r.binary
	r.sources(func(from *source) { t.Headers = t.Headers || from.kind == fromHeader })
}

// topic returns the router's Topic of that name. It adds one if there is none.
func (c *compiler) topic(i int, name string) *Topic {
	switch {
	case name == "":
		c.fault(i, "topic", "is missing: name the Kafka topic that the route reads")
	case len(name) > 249 || strings.Trim(name, topicChars) != "":
		c.fault(i, "topic",
			"%q is not a name of a Kafka topic: use up to 249 letters, digits, dots, dashes and underscores", name)
	}
	t := c.router.byName[name]
	if t == nil {
		t = &Topic{Feed: rooms.NewFeed(name), fields: jsonscan.NewTree(), resolve: c.catalog.Resolve}
		c.router.byName[name] = t
		c.router.topics = append(c.router.topics, t)
	}
	return t
}

// topicChars are the characters that the name of a topic may have (Kafka's Topic.LEGAL_CHARS).
const topicChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

func (c *compiler) format(i int, src *Route, r *route) {
	switch src.Envelope {
	case "":
	case "none":
		r.bare = true
	default:
		c.fault(i, "envelope", "%q is not known: write none for bare frames, or leave it out", src.Envelope)
	}
	switch src.Format {
	case "", "json":
	case "binary":
		r.binary = true
		if !r.bare {
			c.fault(i, "format", "is binary, which no JSON envelope can hold: add envelope: none")
		}
	default:
		c.fault(i, "format", "%q is not known: write json or binary", src.Format)
	}
}

// templates parses all templates and conditions of a route, except the rooms.
func (c *compiler) templates(i int, src *Route, t *Topic, r *route) {
	if src.Key != "" {
		key, err := parseTemplate(src.Key, t.fields)
		if err != nil {
			c.fault(i, "key", "%q %v", src.Key, err)
		}
		r.key = &key
		c.readable(i, "key", r, key.uses(fromValue))
	}
	name := src.Type
	if name == "" {
		name = src.Topic
	}
	typ, err := parseTemplate(name, t.fields)
	if err != nil {
		c.fault(i, "type", "%q %v", src.Type, err)
	}
	if len(name) > rooms.MaxType && typ.constant() {
		c.fault(i, "type", "has %d bytes: a frame's type has at most %d", len(name), rooms.MaxType)
	}
	r.typ = &typ
	c.readable(i, "type", r, typ.uses(fromValue))
	for _, name := range slices.Sorted(maps.Keys(src.Match)) {
		from, err := parseSource(name, t.fields)
		if err != nil {
			c.fault(i, "match", "%q %v", name, err)
			continue
		}
		if src.Match[name] == "" {
			c.fault(i, "match", "%q has no glob: write a value such as \"portfolio.*\"", name)
		}
		r.conds = append(r.conds, cond{from, src.Match[name]})
		c.readable(i, "match", r, from.kind == fromValue)
	}
	c.keyframe(i, src, t, r)
	if src.Payload != "" {
		from, err := parseSource(src.Payload, t.fields)
		switch {
		case err != nil:
			c.fault(i, "payload", "%q %v", src.Payload, err)
		case from.kind != fromValue:
			c.fault(i, "payload", "%q is not a part of the value: name a path such as data", src.Payload)
		default:
			r.payload = &from
		}
		c.readable(i, "payload", r, true)
	}
}

func (c *compiler) keyframe(i int, src *Route, t *Topic, r *route) {
	k := src.Keyframe
	if k == (Keyframe{}) {
		return
	}
	from, err := parseSource(k.Field, t.fields)
	switch {
	case k.Field == "":
		c.fault(i, "keyframe.field", "is missing: name the field that tells a full book from a change, such as e")
	case k.Equals == "":
		c.fault(i, "keyframe.equals", "is missing: write what the field holds in a full book, such as depthSnapshot")
	case err != nil:
		c.fault(i, "keyframe.field", "%q %v", k.Field, err)
	default:
		r.keyframe = &cond{from, k.Equals}
		c.readable(i, "keyframe.field", r, from.kind == fromValue)
	}
}

// readable adds a fault if a part of a binary route reads fields of the value.
func (c *compiler) readable(i int, field string, r *route, reads bool) {
	if r.binary && reads {
		c.fault(i, field, "reads the value, but format is binary: use @key or @header.x, or format: json")
	}
}

// land finds the pattern of a room template's names and marks it as fed.
func (c *compiler) land(i int, t *Topic, r *route, room *roomTemplate) {
	c.readable(i, "rooms", r, room.uses(fromValue))
	if room.text == "" {
		c.fault(i, "rooms", "has an empty name: name a room such as \"prices\" or \"prices:{@key}\"")
		return
	}
	if strings.Contains(room.text, "*") {
		c.fault(i, "rooms", "%q has a *, which only room patterns may: name a field in braces such as {s}", room.text)
		return
	}
	if room.prefix() == "" {
		c.fault(i, "rooms",
			"%q begins with a placeholder, so it could name any room: begin it with text such as \"prices:\"",
			room.text)
		return
	}
	base, others := c.candidates(&room.template)
	if base == nil && others == nil {
		c.fault(i, "rooms", "%q matches no room pattern: add under rooms %s", room.text, suggest(room))
		return
	}
	if base == nil {
		private := func(p *rooms.Pattern) bool { return p.Class.Private() }
		if one := slices.IndexFunc(others, private); one >= 0 && len(others) > 1 {
			other := others[(one+1)%len(others)]
			c.fault(i, "rooms",
				"%q gives names of room pattern %q, which is private, and of %q: begin it with %q, or another "+
					"pattern's prefix",
				room.text, others[one].Match, other.Match, others[one].Prefix())
			return
		} else if one >= 0 {
			base, others = others[0], nil
		}
	}
	room.base = base
	c.landed = append(c.landed, landing{i, r, t, room, others})
	if others == nil && strings.HasPrefix(room.prefix(), base.Prefix()) {
		room.pattern = base
	}
	if base == nil {
		return
	}
	c.suits(i, r, room, base)
	first, fed := c.first[base]
	switch {
	case !fed:
		c.first[base] = i
		feed(base, t, r)
	case base.Feed != t.Feed:
		c.fault(i, "rooms",
			"%q falls into room pattern %q, which route %d feeds from topic %q: a position would be ambiguous; "+
				"give each topic rooms of its own", room.text, base.Match, first, base.Feed.Topic())
	case base.Bare != r.bare:
		c.fault(i, "envelope",
			"differs from route %d, which feeds room pattern %q too: a room is either bare or not", first, base.Match)
	}
}

// suits finds what the class of a room's pattern has no use for, or cannot do.
func (c *compiler) suits(i int, r *route, room *roomTemplate, base *rooms.Pattern) {
	if c.tombs[c.source[i].Topic] && base.Class.Conflate {
		const why = "%q comes from the value, which a tombstone does not have, and class %q of room %q is conflated: " +
			"take it from {@key} or {@header.x}"
		if room.uses(fromValue) {
			c.fault(i, "rooms", why, room.text, base.Class.Name, room.text)
		}
		if r.key != nil && r.key.uses(fromValue) {
			c.fault(i, "key", why, r.key.text, base.Class.Name, room.text)
		}
	}
	if r.keyframe != nil {
		if base.Keyframed = true; base.Class.Private() || base.Class.Conflate {
			c.fault(i, "keyframe",
				"is for rooms that deliver every message to all, and class %q of room %q is private or conflated: "+
					"use a class such as book", base.Class.Name, room.text)
		}
	}
}

func feed(p *rooms.Pattern, t *Topic, r *route) {
	p.Feed, p.Bare = t.Feed, r.bare
}

// suggest returns a pattern that the template's names would match. If they could be users it
// names a private one first, since anybody may read a public one.
func suggest(room *roomTemplate) string {
	if room.constant() {
		return fmt.Sprintf("one such as {match: %q, class: stream}", room.text)
	}
	public := fmt.Sprintf("{match: %q, class: stream} if anybody may read them", room.prefix()+"*")
	if len(room.parts) != 2 {
		return "one such as " + public
	}
	return fmt.Sprintf("{match: %q, class: private} if each is one user's, or %s", room.prefix()+"{owner}", public)
}
