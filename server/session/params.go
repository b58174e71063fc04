package session

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/valyala/fastjson"

	"tapecast/rooms"
)

// misnamed lists fields of params that do nothing here, and what to use instead. A client that
// sends one relies on it, so it must not be ignored.
var misnamed = [...]struct{ name, remedy string }{
	{"filter", "name the keys that you want in params.keys"},
	{"filters", "name the keys that you want in params.keys"},
	{"compression", "offer permessage-deflate in the handshake"},
}

// maxNames is how many rooms one request may name. Its answer is many times longer.
const maxNames = 1024

// get returns a field of params, or nil if it is missing or null.
func (q *request) get(name string) *fastjson.Value {
	if q.params == nil || q.params.Type() != fastjson.TypeObject {
		return nil
	}
	if v := q.params.Get(name); v != nil && v.Type() != fastjson.TypeNull {
		return v
	}
	return nil
}

func (q *request) checkMisnamed() fault {
	for _, m := range misnamed {
		if q.get(m.name) != nil {
			return badParams("params." + m.name + " is not known here: " + m.remedy)
		}
	}
	return fault{}
}

type wishes struct {
	snapshot    bool
	keys        []string // nil: all
	since       map[string]rooms.Positions
	topics      map[string]string // by room, of positions in since that have a topic id and no epoch
	times       map[string]int64  // by room, instead of positions: ms since 1970
	every       time.Duration     // between two sends to a membership; 0: at once
	noWildcards bool              // the reply cannot contain a wildcard
}

// maxKeysAsked is how many keys one request may name. Each frame of the room is compared with them.
const maxKeysAsked = 1024

// wishes reads the fields of subscribe and authenticate that describe the memberships.
func (q *request) wishes() (w wishes, f fault) {
	if f = q.checkMisnamed(); f.is() {
		return w, f
	}
	if w.snapshot, f = q.boolean("snapshot", true); f.is() {
		return w, f
	}
	if v := q.get("keys"); v != nil {
		if w.keys, f = keysOf(v); f.is() {
			return w, f
		}
	}
	if v := q.get("max_rate"); v != nil {
		if w.every, f = everyOf(v); f.is() {
			return w, f
		}
	}
	if v := q.get("since"); v != nil {
		f = w.positionsByName(v)
	}
	return w, f
}

// everyOf returns the time between two sends at a rate per second.
func everyOf(v *fastjson.Value) (time.Duration, fault) {
	rate, err := v.Float64()
	if err != nil || !(rate >= 0.001 && rate <= 1000) {
		return 0, badParams("params.max_rate must be a number of sends a second, from 0.001 to 1000; " +
			"leave it out for all")
	}
	return time.Duration(float64(time.Second) / rate), fault{}
}

func keysOf(v *fastjson.Value) ([]string, fault) {
	items, err := v.Array()
	if err != nil || len(items) == 0 {
		return nil, badParams("params.keys must be a list of keys, at least one; leave it out for all")
	}
	if len(items) > maxKeysAsked {
		return nil, overMost(fmt.Sprintf("params.keys names more than %d keys; join without keys, or on several "+
			"connections", maxKeysAsked))
	}
	keys := make([]string, len(items))
	for i, it := range items {
		b, err := it.StringBytes()
		if err != nil || !utf8.Valid(b) {
			return nil, badParams(fmt.Sprintf("params.keys[%d] must be a string", i))
		}
		keys[i] = string(b)
	}
	return keys, fault{}
}

// text returns a field that is a string. ok is false if it has another type.
func (q *request) text(name string) (s string, given, ok bool) {
	v := q.get(name)
	if v == nil {
		return "", false, true
	}
	b, err := v.StringBytes()
	return string(b), true, err == nil
}

// boolean returns a field that is true or false. It returns the default if the field is missing.
func (q *request) boolean(name string, otherwise bool) (bool, fault) {
	v := q.get(name)
	if v == nil {
		return otherwise, fault{}
	}
	b, err := v.Bool()
	if err != nil {
		return false, badParams("params." + name + " must be true or false")
	}
	return b, fault{}
}

// roomNames returns the rooms that subscribe and unsubscribe name: params itself if it is a list
// (the shape of Binance's clients), else its field rooms.
func (q *request) roomNames() (names []string, list bool, f fault) {
	v, what := q.params, "params"
	if list = v != nil && v.Type() == fastjson.TypeArray; !list {
		v, what = q.get("rooms"), "params.rooms"
	}
	if v == nil {
		return nil, list, badParams("params.rooms must be a list of room names")
	}
	names, f = stringsOf(v, what)
	if !f.is() && len(names) == 0 {
		f = badParams(what + " names no room")
	}
	return names, list, f
}

// stringsOf copies a list of room names out of the parser, each once.
func stringsOf(v *fastjson.Value, what string) ([]string, fault) {
	items, err := v.Array()
	if err != nil {
		return nil, badParams(what + " must be a list of room names")
	}
	if len(items) > maxNames {
		return nil, overMost(fmt.Sprintf("%s names more than %d rooms; send several requests", what, maxNames))
	}
	names := make([]string, 0, len(items))
	seen := make(map[string]struct{}, len(items))
	for i, it := range items {
		b, err := it.StringBytes()
		if err != nil || len(b) == 0 || len(b) > rooms.MaxName || !utf8.Valid(b) {
			return nil, badParams(fmt.Sprintf("%s[%d] must be a string of 1 to %d bytes", what, i, rooms.MaxName))
		}
		if _, twice := seen[string(b)]; !twice {
			name := string(b)
			names, seen[name] = append(names, name), struct{}{}
		}
	}
	return names, fault{}
}
