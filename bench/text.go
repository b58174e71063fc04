package bench

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// table is a report as text: names on the left, figures on the right.
type table struct{ b strings.Builder }

func (t *table) line(format string, args ...any) { fmt.Fprintf(&t.b, format+"\n", args...) }

func (t *table) row(name, format string, args ...any) {
	fmt.Fprintf(&t.b, "  %-16s"+format+"\n", append([]any{name}, args...)...)
}

// rows writes names and figures that are ready.
func (t *table) rows(rows [][]string) {
	for _, r := range rows {
		t.row(r[0], "%s", r[1])
	}
}

func (t *table) write(w io.Writer) error {
	_, err := io.WriteString(w, t.b.String())
	return err
}

// String gives the figures in a row.
func (q Quantiles) String() string {
	if q.Count == 0 {
		return "none taken"
	}
	return fmt.Sprintf("p50 %s · p90 %s · p99 %s · p99.9 %s · max %s", ms(q.P50), ms(q.P90), ms(q.P99), ms(q.P999), ms(q.Max))
}

// ms writes milliseconds with three figures.
func ms(v float64) string {
	switch {
	case v >= 10_000:
		return fmt.Sprintf("%.1f s", v/1000)
	case v >= 100:
		return fmt.Sprintf("%.0f ms", v)
	case v >= 10:
		return fmt.Sprintf("%.1f ms", v)
	case v >= 1:
		return fmt.Sprintf("%.2f ms", v)
	}
	return fmt.Sprintf("%.0f µs", v*1000)
}

// count writes a number with thousands apart.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// number writes a float without needless zeros.
func number(v float64) string { return strconv.FormatFloat(math.Round(v*1000)/1000, 'f', -1, 64) }

// size writes bytes.
func size(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1<<30:
		return fmt.Sprintf("%.2f GB", v/(1<<30))
	case a >= 1<<20:
		return fmt.Sprintf("%.1f MB", v/(1<<20))
	case a >= 1<<10:
		return fmt.Sprintf("%.2f KB", v/(1<<10))
	}
	return fmt.Sprintf("%.0f B", v)
}

func signed(v float64) string {
	if v >= 0 {
		return "+" + size(v)
	}
	return size(v)
}

func percent(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return 100 * a / b
}
