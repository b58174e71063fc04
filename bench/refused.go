package bench

import (
	"fmt"
	"strings"

	"tapecast/bench/proto"
	"tapecast/bench/scrape"
	"tapecast/bench/text"
)

// What a gateway counts of records that reach nobody, and how to say so.
var refusedMetrics = map[string]string{
	"tapecast_ingest_bad_total":       "bad",
	"tapecast_ingest_unmatched_total": "no route's match fits",
	"tapecast_rooms_refused_total":    "no room may be made for it",
}

// refusedRecords is how many records a gateway has refused between two looks at its
// metrics, by why.
func refusedRecords(from, to scrape.Metrics) map[string]float64 {
	out := map[string]float64{}
	for series, v := range to {
		name, labels, _ := strings.Cut(series, "{")
		why, ok := refusedMetrics[name]
		if !ok || v <= from[series] {
			continue
		}
		if reason, ok := proto.Member([]byte(","+labels), `,reason="`); ok {
			why = string(reason)
		}
		out[why] += v - from[series]
	}
	return out
}

// becauseOf says that records were refused, where any were: what was lost has a cause
// that has nothing to do with delivery.
func becauseOf(refused map[string]float64) string {
	var n float64
	for _, v := range refused {
		n += v
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", since the gateway refused %s records (%s): its log says which; do the values fit the "+
		"topic's "+
		"routes, as by --fields or --value-template?", text.Count(int64(n)), text.Counts(refused))
}
