package config

import "reflect"

// Changed returns the keys that have another value in one configuration than in the other, in their order
// in the file. A list or a map is one key.
func Changed(a, b *Config) []string {
	return changed(configTree, "", reflect.ValueOf(*a), reflect.ValueOf(*b), nil)
}

func changed(k *key, path string, a, b reflect.Value, keys []string) []string {
	if k.kind != kindSection {
		if !same(a, b) {
			keys = append(keys, path)
		}
		return keys
	}
	for i, f := range fieldsOf(a.Type()) {
		keys = changed(k.keys[i], join(path, k.keys[i].name), a.FieldByIndex(f.Index), b.FieldByIndex(f.Index), keys)
	}
	return keys
}

// same reports whether two values are equal. What is empty is equal to what is not there.
func same(a, b reflect.Value) bool {
	if kind := a.Kind(); (kind == reflect.Slice || kind == reflect.Map) && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}
