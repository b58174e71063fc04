package client

import (
	"container/list"
	"iter"
)

// ordered is a map that is gone through in the order in which its keys were added. The zero value is
// empty. The one that is being visited may be deleted.
type ordered[V any] struct {
	by   map[string]*list.Element
	list list.List
}

type entry[V any] struct {
	key   string
	value V
}

func (o *ordered[V]) len() int { return len(o.by) }

func (o *ordered[V]) get(key string) (v V, ok bool) {
	if e, ok := o.by[key]; ok {
		return e.Value.(entry[V]).value, true
	}
	return v, false
}

func (o *ordered[V]) has(key string) bool {
	_, ok := o.by[key]
	return ok
}

func (o *ordered[V]) put(key string, v V) {
	if e, ok := o.by[key]; ok {
		e.Value = entry[V]{key, v}
		return
	}
	if o.by == nil {
		o.by = map[string]*list.Element{}
	}
	o.by[key] = o.list.PushBack(entry[V]{key, v})
}

func (o *ordered[V]) delete(key string) {
	if e, ok := o.by[key]; ok {
		o.list.Remove(e)
		delete(o.by, key)
	}
}

func (o *ordered[V]) clear() {
	clear(o.by)
	o.list.Init()
}

func (o *ordered[V]) all() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for e := o.list.Front(); e != nil; {
			next := e.Next()
			if one := e.Value.(entry[V]); !yield(one.key, one.value) {
				return
			}
			e = next
		}
	}
}
