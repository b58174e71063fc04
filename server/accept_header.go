package server

import (
	"mime"
	"slices"
	"strconv"
	"strings"
)

func prefersJSON(accept string) bool {
	return weightOf(accept, "application", "json") > weightOf(accept, "text", "plain")
}

// weightOf returns the weight of a media type in an Accept header: that of the most specific range
// that fits (RFC 9110, 12.5.1); 0: not wanted. Malformed ranges are left out.
func weightOf(accept, kind, sub string) (weight float64) {
	ranges := []string{"*/*", kind + "/*", kind + "/" + sub} // the most specific last
	best := -1
	for r := range strings.SplitSeq(accept, ",") {
		name, params, err := mime.ParseMediaType(r)
		if err != nil {
			continue
		}
		q := 1.0
		if text, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(text, 64); err != nil || !(q >= 0 && q <= 1) {
				continue
			}
		}
		if at := slices.Index(ranges, name); at > best {
			best, weight = at, q
		} else if at >= 0 && at == best {
			weight = max(weight, q)
		}
	}
	return weight
}
