package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/valyala/fastjson"

	"tapecast/server/jsontext"
)

// tierTree is the tree of the keys of a row of limits.tiers.
var tierTree = configTree.child("limits").child("tiers").elem

// TierRow reads a row of limits that stands outside of the configuration: a JSON object with the keys of a
// row of limits.tiers. Sizes are numbers of bytes, or texts as in the configuration. What it does not set is
// as for accounts without a tier. The configuration must have no faults.
func (cfg *Config) TierRow(name string, value []byte) (t Tier, err error) {
	if jsontext.TooDeep(value) || !jsontext.Valid(value) {
		return t, errRow
	}
	v, err := fastjson.ParseBytes(value)
	if err != nil {
		return t, errRow
	}
	o, err := v.Object()
	if err != nil {
		return t, errRow
	}
	if key, twice := jsontext.Doubled(o); twice {
		return t, fmt.Errorf("%s is set twice", jsontext.Quoted(key))
	}
	c, path := newCollector(), tierPath(name)
	fields := fieldsByKey(reflect.ValueOf(&t).Elem())
	o.Visit(func(key []byte, v *fastjson.Value) {
		k := tierTree.child(string(key))
		if k == nil {
			c.add(path+"."+jsontext.Quoted(key), "unknown key", "%s", tierTree.didYouMean(string(key), path))
			return
		}
		at := path + "." + k.name
		value, err := k.parseJSON(v)
		if err != nil {
			c.add(at, err.Error(), "write %s", k.wants())
			return
		}
		c.sources[at] = source{name: "record"}
		fields[k.name].Set(reflect.ValueOf(value))
	})
	c.completeTier(&cfg.Limits, path, &t)
	c.checkTier(cfg, path, t)
	if len(c.faults) == 0 {
		return t, nil
	}
	var texts []string
	for i, f := range c.faults {
		if i == rowFaults {
			texts = append(texts, fmt.Sprintf("and %d more faults", len(c.faults)-i))
			break
		}
		texts = append(texts, f.Key+": "+f.Msg+"; "+f.Do)
	}
	return t, errors.New(strings.Join(texts, "; "))
}

// rowFaults is how many faults of a row are named.
const rowFaults = 3

var errRow = errors.New(`it is not a JSON object, such as {"messages_per_second":200,"burst":400}`)

// parseJSON is parse for a value of JSON: a number, or for sizes a text too.
func (k *key) parseJSON(v *fastjson.Value) (any, error) {
	if b, err := v.StringBytes(); err == nil && k.kind == kindSize {
		return k.parse(string(b))
	}
	if v.Type() != fastjson.TypeNumber {
		return nil, fmt.Errorf("cannot take a %s", v.Type())
	}
	return k.parse(v.String())
}
