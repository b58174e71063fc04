package bench

import (
	"fmt"
	"strings"

	"tapecast/bench/proto"
	"tapecast/bench/scrape"
	"tapecast/bench/text"
)

// refusedMetrics are the gateway's counters of records that reach no member, in words.
var refusedMetrics = map[string]string{
	"tapecast_ingest_bad_total":       "bad",
	"tapecast_ingest_unmatched_total": "no route's match fits",
	"tapecast_rooms_refused_total":    "its room may not be made",
}

// refusedRecords returns how many records a gateway refused between two readings, by reason.
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

// becauseOf returns a clause for lost messages if records were refused: the cause is not delivery.
func becauseOf(refused map[string]float64) string {
	var n float64
	for _, v := range refused {
		n += v
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", because the gateway refused %s records (%s): its log says which; do the values match the "+
		"topic's routes? See --fields and --value-template", text.Count(int64(n)), text.Counts(refused))
}
