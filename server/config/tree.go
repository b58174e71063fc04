package config

import (
	"cmp"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"

	"tapecast/server/logging"
)

type kind uint8

const (
	kindSection kind = iota // fixed keys: a struct
	kindNamed               // free names, each with fixed keys: classes
	kindList                // a list of sections: rooms, routes
	kindBool
	kindInt
	kindFloat
	kindString
	kindDuration
	kindSize
	kindStrings   // a list of strings
	kindStringMap // free names to strings
	kindRules     // free names to conditions: allow
	kindConditions
	kindTexts // a text or a list of texts
)

// key is a node of the tree of all keys that may be set. It never changes once made.
type key struct {
	name string
	kind kind
	typ  reflect.Type
	keys []*key // of a section, in the order of the struct
	elem *key   // the section of a named or list key
}

// fieldsOf returns the fields of a section that are keys. Those of a struct that it embeds are among them.
func fieldsOf(t reflect.Type) []reflect.StructField {
	return slices.DeleteFunc(reflect.VisibleFields(t), func(f reflect.StructField) bool {
		return f.Anonymous || !f.IsExported()
	})
}

func fieldsByKey(v reflect.Value) map[string]reflect.Value {
	m := map[string]reflect.Value{}
	for _, f := range fieldsOf(v.Type()) {
		m[f.Tag.Get("koanf")] = v.FieldByIndex(f.Index)
	}
	return m
}

// configTree is the tree of Config's keys.
var configTree = treeOf("", reflect.TypeFor[Config]())

func treeOf(name string, t reflect.Type) *key {
	k := &key{name: name, typ: t}
	switch t {
	case reflect.TypeFor[time.Duration]():
		k.kind = kindDuration
		return k
	case reflect.TypeFor[Size]():
		k.kind = kindSize
		return k
	case reflect.TypeFor[map[string]Conditions]():
		k.kind, k.elem = kindRules, treeOf("", reflect.TypeFor[Conditions]())
		return k
	case reflect.TypeFor[Conditions]():
		k.kind = kindConditions
		return k
	}
	switch t.Kind() {
	case reflect.Struct:
		k.kind = kindSection
		for _, f := range fieldsOf(t) {
			k.keys = append(k.keys, treeOf(f.Tag.Get("koanf"), f.Type))
		}
	case reflect.Map:
		k.kind = kindStringMap
		if t.Elem().Kind() == reflect.Struct {
			k.kind, k.elem = kindNamed, treeOf("", t.Elem())
		}
	case reflect.Slice:
		k.kind = kindStrings
		if t.Elem().Kind() == reflect.Struct {
			k.kind, k.elem = kindList, treeOf("", t.Elem())
		}
	case reflect.Bool:
		k.kind = kindBool
	case reflect.Int:
		k.kind = kindInt
	case reflect.Float64:
		k.kind = kindFloat
	case reflect.String:
		k.kind = kindString
	default:
		panic(fmt.Sprintf("BUG: Config's field %q has type %s, which no source can set", name, t))
	}
	return k
}

func (k *key) child(name string) *key {
	if i := slices.Index(k.names(), name); i >= 0 {
		return k.keys[i]
	}
	return nil
}

func (k *key) names() []string {
	out := make([]string, len(k.keys))
	for i, c := range k.keys {
		out[i] = c.name
	}
	return out
}

func (k *key) scalar() bool { return k.kind >= kindBool && k.kind <= kindSize }

// wants returns what a value of the key looks like.
func (k *key) wants() string {
	return cmp.Or(map[kind]string{
		kindBool:     "true or false",
		kindInt:      "a whole number, such as 100",
		kindFloat:    "a number, such as 50 or 0.5",
		kindDuration: "a duration with its unit, such as 500ms, 20s or 1h30m",
		kindSize:     "a number of bytes, such as 512, 64KiB or 8MiB",
		kindStrings:  "a list, such as [a, b]",
		kindList:     "a list of entries that begin with a dash",
		kindString:   "a text",
		kindTexts:    "a text, or a list of texts",
	}[k.kind], "keys of its own below it")
}

// The most that a key accepts. No larger value is useful, and sums of such values do not overflow.
const (
	maxNumber   = 1 << 40
	maxDuration = 10 * 365 * 24 * time.Hour
	maxSize     = 1 << 50
)

// parse reads the text of a scalar (or a comma-separated list) into the type
// that Config holds. No key takes a negative number.
func (k *key) parse(text string) (any, error) {
	bad := fmt.Errorf("cannot take %q", text)
	switch k.kind {
	case kindBool:
		if v, err := strconv.ParseBool(text); err == nil {
			return v, nil
		}
	case kindInt:
		if v, err := strconv.Atoi(strings.ReplaceAll(text, "_", "")); err == nil && v >= 0 {
			return v, tooMuch(v > maxNumber, text, "1099511627776")
		}
	case kindFloat:
		if v, err := strconv.ParseFloat(text, 64); err == nil && v >= 0 && v <= 1e15 {
			return v, nil
		}
	case kindDuration:
		if v, err := time.ParseDuration(text); err == nil && v >= 0 {
			return v, tooMuch(v > maxDuration, text, "ten years, 87600h")
		}
	case kindSize:
		if v, err := ParseSize(text); err == nil {
			return v, tooMuch(v > maxSize, text, "1024TiB")
		}
	case kindStrings:
		list := []string{}
		for _, s := range strings.Split(text, ",") {
			if s = strings.TrimSpace(s); s != "" {
				list = append(list, s)
			}
		}
		return list, nil
	case kindString:
		return reflect.ValueOf(text).Convert(k.typ).Interface(), nil
	}
	return nil, bad
}

// tooMuchError means that a value is above what any key accepts.
type tooMuchError struct{ text, most string }

// Error returns the value and the limit.
func (e *tooMuchError) Error() string { return e.text + " is more than " + e.most }

func tooMuch(over bool, text, most string) error {
	if !over {
		return nil
	}
	return &tooMuchError{text, most}
}

// toMap turns a Config into the nested map that sources are merged into. Lists are replaced whole.
func toMap(v reflect.Value) map[string]any {
	m := map[string]any{}
	switch v.Kind() {
	case reflect.Struct:
		for name, f := range fieldsByKey(v) {
			if k := f.Kind(); k == reflect.Struct || k == reflect.Map {
				m[name] = toMap(f)
				continue
			}
			m[name] = f.Interface()
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if it.Value().Kind() == reflect.Struct {
				m[it.Key().String()] = toMap(it.Value())
				continue
			}
			m[it.Key().String()] = it.Value().Interface()
		}
	}
	return m
}

// nearest returns the name closest to s, or "" if none is close enough to be meant.
func nearest(s string, names []string) string {
	names = slices.Sorted(slices.Values(names))
	return closest(s, names, max(2, len(s)/3), func(begin, _ string) bool { return len(begin) > 2 }) // warning, warn
}

// closest returns the name within that distance that is closest to s, or "". A name that begins
// with s, or with which s begins, has the distance 1 if near says so.
func closest(s string, names []string, most int, near func(begin, whole string) bool) string {
	best, dist := "", most+1
	for _, n := range names {
		a, b := strings.ToLower(s), strings.ToLower(n)
		d := levenshtein.ComputeDistance(a, b)
		if len(a) > len(b) {
			a, b = b, a
		}
		if strings.HasPrefix(b, a) && near(a, b) {
			d = 1
		}
		if d < dist && d < len(b) {
			best, dist = n, d
		}
	}
	return best
}

// pathsTo returns the full paths of all keys called name, for a key in the wrong section.
func (k *key) pathsTo(name, prefix string) []string {
	var out []string
	for _, c := range k.keys {
		path := join(prefix, c.name)
		if c.name == name {
			out = append(out, path)
		}
		out = append(out, c.pathsTo(name, path)...)
	}
	return out
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// Size is a number of bytes, written 512, 64KiB, 8MiB, 1GiB, 2TiB or in steps of
// thousand as 64KB, 8MB, 1GB, 2TB.
type Size int64

var sizeUnits = []struct {
	suffix string
	bytes  float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// ParseSize reads a Size as it is written in the configuration.
func ParseSize(s string) (Size, error) {
	num, unit := strings.TrimSpace(s), 1.0
	for _, u := range sizeUnits {
		if n, ok := strings.CutSuffix(num, u.suffix); ok {
			num, unit = strings.TrimSpace(n), u.bytes
			break
		}
	}
	v, err := strconv.ParseFloat(num, 64)
	if v *= unit; err != nil || math.IsNaN(v) || v < 0 || v >= math.MaxInt64 || v != math.Trunc(v) {
		return 0, fmt.Errorf("%q is not a number of bytes such as 512, 64KiB or 8MiB", s)
	}
	return Size(v), nil
}

// String returns s in the largest unit that is exact.
func (s Size) String() string {
	for i := 3; i >= 0; i-- {
		if u := int64(sizeUnits[i].bytes); s != 0 && int64(s)%u == 0 {
			return strconv.FormatInt(int64(s)/u, 10) + sizeUnits[i].suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Secret is a string that prints as [redacted] whichever way it is printed; string(s) has its text.
type Secret string

// String hides the secret from fmt and from logs.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return logging.Redacted
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
