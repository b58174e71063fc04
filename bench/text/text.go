package text

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Table is a report as text, with names on the left and figures on the right.
type Table struct{ b strings.Builder }

// Line adds a line.
func (t *Table) Line(format string, args ...any) { fmt.Fprintf(&t.b, format+"\n", args...) }

// Row adds a line with a name on the left.
func (t *Table) Row(name, format string, args ...any) {
	fmt.Fprintf(&t.b, "  %-16s"+format+"\n", append([]any{name}, args...)...)
}

// Rows adds rows of ready names and figures.
func (t *Table) Rows(rows Rows) {
	for _, r := range rows {
		t.Row(r[0], "%s", r[1])
	}
}

// Rows are names and figures for a Table, or for another kind of report.
type Rows [][]string

// Add adds a row.
func (r *Rows) Add(name, format string, args ...any) {
	*r = append(*r, []string{name, fmt.Sprintf(format, args...)})
}

// Write writes the table to w.
func (t *Table) Write(w io.Writer) error {
	_, err := io.WriteString(w, t.b.String())
	return err
}

// Count formats a number with its thousands separated.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Number formats a float without needless zeros.
func Number(v float64) string { return strconv.FormatFloat(math.Round(v*1000)/1000, 'f', -1, 64) }

// Size formats bytes.
func Size(v float64) string {
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

// Signed formats bytes with their sign.
func Signed(v float64) string {
	if v >= 0 {
		return "+" + Size(v)
	}
	return Size(v)
}

// Percent returns a as a percentage of b.
func Percent(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return 100 * a / b
}

// Counts formats how many there are of each name, the most frequent first.
func Counts[N int | int64 | float64](m map[string]N) string {
	names := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s %s", name, Count(int64(m[name]))))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// LogLine writes a line of progress to w, or nothing if w is nil.
func LogLine(w io.Writer, format string, args ...any) {
	if w != nil {
		_, _ = fmt.Fprintf(w, format+"\n", args...) // only progress
	}
}

// MedianOf returns the median of a figure of several runs.
func MedianOf[R any](runs []R, figure func(R) float64) float64 {
	var v []float64
	for _, r := range runs {
		v = append(v, figure(r))
	}
	return Median(v)
}

// Median returns the middle value, or the mean of the two in the middle.
func Median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}
