package revoked

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fastjson"

	"tapecast/server/jsontext"
)

const (
	// maxName bounds the name in a key. A token has 8 KiB at most, and so has its jti.
	maxName = 8 << 10
	// maxValue bounds a value, which people may have written a reason into.
	maxValue = 64 << 10
	// minBefore is in the year 1973. An earlier time was meant as seconds, and would revoke nothing.
	minBefore = 100_000_000_000
	// maxBefore is the end of the year 9999. A later time was meant as microseconds, and would
	// revoke everything for ever.
	maxBefore = 253402300799999
	// always is the time before which all tokens are issued.
	always = math.MaxInt64
)

// kind is what a record is about.
type kind uint8

const (
	ofUser kind = iota
	ofToken
	ofAll
)

var (
	errKey    = errors.New("its key is not user:ID, jti:ID or *")
	errName   = fmt.Errorf("the ID in its key is empty, not UTF-8, or longer than %d bytes", maxName)
	errLong   = fmt.Errorf("its value is longer than %d bytes", maxValue)
	errObject = errors.New(`its value is not a JSON object, such as {"before":1700000000000}`)
	errTwice  = errors.New("its value has a field twice")
	errBefore = errors.New("before is not a whole number of milliseconds since 1970, of the years 1973 to 9999")
	errAll    = errors.New("before is missing, and without it * would revoke every token there will ever be")
)

// parseKey returns what a key names.
func parseKey(key []byte) (k kind, name string, err error) {
	text := string(key)
	switch {
	case text == "*":
		return ofAll, "", nil
	case strings.HasPrefix(text, "user:"):
		k, name = ofUser, text[len("user:"):]
	case strings.HasPrefix(text, "jti:"):
		k, name = ofToken, text[len("jti:"):]
	default:
		return 0, "", errKey
	}
	if name == "" || len(name) > maxName || !utf8.ValidString(name) {
		return 0, "", errName
	}
	return k, name, nil
}

// parseValue returns the time before which tokens are refused. always: at any time.
func parseValue(k kind, value []byte) (before int64, err error) {
	if len(value) > maxValue {
		return 0, errLong
	}
	if jsontext.TooDeep(value) || !jsontext.Valid(value) {
		return 0, errObject
	}
	v, err := fastjson.ParseBytes(value)
	if err != nil {
		return 0, errObject
	}
	o, err := v.Object()
	if err != nil {
		return 0, errObject
	}
	if _, twice := jsontext.Doubled(o); twice {
		return 0, errTwice
	}
	at := v.Get("before")
	switch {
	case at == nil && k == ofAll:
		return 0, errAll
	case at == nil:
		return always, nil
	}
	if before, err = at.Int64(); err != nil || at.Type() != fastjson.TypeNumber || before < minBefore ||
		before > maxBefore {
		return 0, errBefore
	}
	return before, nil
}

// KeyOfUser returns the key of records about a user.
func KeyOfUser(user string) string { return "user:" + user }

// KeyOfToken returns the key of records about the token with a jti.
func KeyOfToken(jti string) string { return "jti:" + jti }

// KeyOfAll is the key of records about all tokens.
const KeyOfAll = "*"
