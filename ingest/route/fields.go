package route

import (
	"fmt"

	"tapecast/ingest/jsonscan"
)

// FirstField returns a function that finds in a JSON value the first of the paths that leads
// to a string or an integer, and returns its text, or "" where none does. It is for one
// goroutine at a time.
func FirstField(paths ...string) (func(value []byte) string, error) {
	tree := jsonscan.NewTree()
	var from []source
	for _, path := range paths {
		s, err := parseSource(path, tree)
		if err != nil {
			return nil, fmt.Errorf("%q %w", path, err)
		}
		from = append(from, s)
	}
	d := NewDecoder(0, nil)
	return func(value []byte) string {
		if d.scan.Scan(value, tree) >= 0 {
			return ""
		}
		for i := range from {
			if text, why := d.text(&from[i], &Record{}); why == lackNone {
				return string(text)
			}
		}
		return ""
	}, nil
}
