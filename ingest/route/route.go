package route

import (
	"tapecast/ingest/jsonscan"
	"tapecast/rooms"
)

// Route says which records of a topic go to which rooms. Every route of a
// topic that fits a record applies.
//
// Rooms, Key and Type are templates: text with placeholders in braces. A
// placeholder is a path into the JSON value ({s}, {metadata.userId}), the
// record's key ({@key}) or a header ({@header.x}). Strings and integers fit.
type Route struct {
	Topic string
	Rooms []string
	// Key is what the record is called within its room; empty: it has no key.
	Key string
	// Type is the frame's type. Empty means the topic's name.
	Type string
	// Match holds conditions, all of which a record must meet: a path, @key or
	// @header.x, and a glob in which * stands for any text.
	Match map[string]string
	// Keyframe tells the records that are understood without those before them,
	// such as full order books, by a field of the value. Empty: there are none.
	Keyframe Keyframe
	// Payload is the path of the nested value that becomes data. Empty means
	// the whole value.
	Payload string
	// Envelope is "" or "none": bare frames, the Kafka values themselves.
	Envelope string
	// Format is "" or "json", or "binary": the value is not looked into. Only
	// with Envelope "none".
	Format string
	// KeyFormat says how producers write record keys, and so what {@key} stands for: utf8
	// (also ""), int32 and int64 (big-endian, as Kafka's serializers write them), hex or
	// base64 (any bytes, written so). A record whose key is none is bad.
	KeyFormat string
	// Partitioner names what the producers choose partitions with by the record's key:
	// murmur2 (the Java client), consistent (librdkafka's default: consistent_random)
	// or fnv1a. It is a check: records that lie elsewhere are delivered as all others,
	// counted (Stats.Misplaced), and degrade Health for a while. Empty: nothing is checked.
	Partitioner string
	// Tombstones says that the topic holds records without a value.
	Tombstones bool
}

// Keyframe is a condition: the field, named as in Match, has that value.
type Keyframe struct{ Field, Equals string }

// Fault is one thing wrong with a route, for `tapecast check`. It names the
// field of the route as the configuration spells it, and the remedy.
type Fault struct {
	Route int // index into the routes
	Field string
	Msg   string
}

// Router finds the rooms of records. It does not change once compiled, so any
// goroutine may read it.
type Router struct {
	topics []*Topic // in the order of first mention
	byName map[string]*Topic

	warnings []Fault
}

// Topic is what is done with the records of one topic.
type Topic struct {
	Feed   *rooms.Feed
	fields *jsonscan.Tree // paths that any of the routes reads; nil: none
	routes []*route
	json   bool // some route says that values are JSON

	Headers bool // some route reads headers

	resolve func(room string) (p *rooms.Pattern, owner string, ok bool) // the catalog's
	twice   bool                                                        // two templates may yield one room: look before adding
}

// route is one Route, compiled.
type route struct {
	conds   []cond
	rooms   []roomTemplate
	key     *template // nil: records have no key
	typ     *template
	payload *source // the nested value; nil: the whole value
	bare    bool
	binary  bool
	keys    keyFormat
	place   partitioner // where records with a key must be; nil: anywhere

	keyframe *cond // nil: no record is one
}

// cond is one condition of Route.Match.
type cond struct {
	from source
	glob string
}

// roomTemplate is the template of a room's name, and where its names land.
type roomTemplate struct {
	template
	// pattern is where every name lands; nil: names land in different
	// patterns, so each is looked up.
	pattern *rooms.Pattern
	// base is the pattern that the template's beginning chooses; nil: there is none.
	base *rooms.Pattern
}

// lands reports whether a name that falls into the pattern may be one of the template's:
// what is meant for private rooms of a pattern goes nowhere else, and nothing else there.
func (t *roomTemplate) lands(p *rooms.Pattern) bool {
	switch {
	case p == nil:
		return false
	case p == t.base:
		return true
	case t.base == nil:
		return !p.Class.Private()
	}
	return !p.Class.Private() && !t.base.Class.Private()
}

// unheld says why a name of the template is that of no room.
func (t *roomTemplate) unheld(name []byte) lack {
	switch {
	case t.base == nil || len(name) <= len(t.base.Prefix()):
		return lackPattern
	case t.base.Class.Private():
		return lackOwner
	}
	return lackName
}

// Topic is what is done with the records of a topic; nil: no route reads it.
func (r *Router) Topic(name string) *Topic { return r.byName[name] }

// Topics lists the topics, in the order of first mention.
func (r *Router) Topics() []*Topic { return r.topics }

// Feeds lists the topics, in the order of first mention.
func (r *Router) Feeds() []*rooms.Feed {
	feeds := make([]*rooms.Feed, len(r.topics))
	for i, t := range r.topics {
		feeds[i] = t.Feed
	}
	return feeds
}
