package route

import (
	"tapecast/ingest/jsonscan"
	"tapecast/rooms"
)

// Route sends records of a topic to rooms. Every route of the topic that matches a record
// applies. The koanf tags are the keys of the configuration.
//
// Rooms, Key and Type are templates: text with placeholders in braces. A
// placeholder is a path into the JSON value ({s}, {metadata.userId}), the
// record's key ({@key}) or a header ({@header.x}). It takes strings and integers.
type Route struct {
	Topic string `koanf:"topic"`
	// Match holds conditions. A record must meet all of them. Each has a path, @key or
	// @header.x, and a glob in which * stands for any text ("portfolio.*"). Default none.
	Match map[string]string `koanf:"match"`
	Rooms []string          `koanf:"rooms"`
	// Key names the record within its room. Default "": the record has no key.
	Key string `koanf:"key"`
	// KeyFormat is how producers write record keys, and so the text of {@key}: utf8
	// (default), int32 and int64 (big-endian, as Kafka's serializers write them), hex or
	// base64 (any bytes, written so). A record with a key of another format is bad.
	KeyFormat string `koanf:"key_format"`
	// Type is the frame's type, 256 bytes at most. Default "": the topic's name.
	Type string `koanf:"type"`
	// Keyframe is the condition of records that a client understands without earlier ones,
	// such as full order books. A client that joins or lags starts at the newest one.
	Keyframe Keyframe `koanf:"keyframe"`
	// Payload is the path of the nested value that becomes the frame's data. Default "": the whole.
	Payload string `koanf:"payload"`
	// Envelope is "" (default) or "none": bare frames, the Kafka values themselves.
	Envelope string `koanf:"envelope"`
	// Format is json (default), or with Envelope "none" also binary: the value is not parsed.
	Format string `koanf:"format"`
	// Partitioner is the producers' partitioner: murmur2 (the Java client), consistent
	// (librdkafka's default: consistent_random) or fnv1a. It is a check. A record in another
	// partition is delivered like all others, counted (Stats.Misplaced), and degrades Health
	// for a while. Default "": nothing is checked.
	Partitioner string `koanf:"partitioner"`
	// Tombstones: the topic holds records without a value. Default false.
	Tombstones bool `koanf:"tombstones"`
}

// Keyframe is a condition: Field, named as in Match (e), has the value Equals (depthSnapshot).
type Keyframe struct {
	Field  string `koanf:"field"` // default "": no record is a keyframe
	Equals string `koanf:"equals"`
}

// Fault is one fault of a route, for `tapecast check`. Msg includes the remedy.
type Fault struct {
	Route int    // index into the routes
	Field string // as the configuration spells it
	Msg   string
}

// Router finds the rooms of records. Once compiled it does not change: anybody may read it.
type Router struct {
	topics []*Topic // in the order of first mention
	byName map[string]*Topic

	warnings []Fault
}

// Topic holds the compiled routes of one topic.
type Topic struct {
	Feed   *rooms.Feed
	fields *jsonscan.Tree // paths that any of the routes reads; nil: none
	routes []*route
	json   bool // values are JSON for some route

	Headers bool // some route reads headers

	resolve func(room string) (p *rooms.Pattern, owner string, ok bool) // the catalog's
	twice   bool                                                        // two templates may give one room name
}

type route struct {
	conds   []cond
	rooms   []roomTemplate
	key     *template // nil: records have no key
	typ     *template
	payload *source // the nested value; nil: the whole value
	bare    bool
	binary  bool
	keys    keyFormat
	part    partitioner // of records with a key; nil: not checked

	keyframe *cond // nil: no record is a keyframe
}

type cond struct {
	from source
	glob string
}

type roomTemplate struct {
	template
	// pattern is the pattern of every name. Nil: names may differ, so each is looked up.
	pattern *rooms.Pattern
	// base is the pattern that the template's literal prefix selects; nil: none.
	base *rooms.Pattern
}

// lands reports whether the template may give a room of the pattern. A private pattern gets
// rooms only from templates whose base it is, and such a template gives no other rooms.
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

// unheld returns why no room may have a name that the template gave.
func (t *roomTemplate) unheld(name []byte) lack {
	switch {
	case t.base == nil || len(name) <= len(t.base.Prefix()):
		return lackPattern
	case t.base.Class.Private():
		return lackOwner
	}
	return lackName
}

// Topic returns the compiled routes of a topic; nil: no route reads it.
func (r *Router) Topic(name string) *Topic { return r.byName[name] }

// Topics lists the topics, in the order of first mention.
func (r *Router) Topics() []*Topic { return r.topics }

// Feeds lists the topics' feeds, in the same order.
func (r *Router) Feeds() []*rooms.Feed {
	feeds := make([]*rooms.Feed, len(r.topics))
	for i, t := range r.topics {
		feeds[i] = t.Feed
	}
	return feeds
}
