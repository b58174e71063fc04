package chart

import (
	_ "embed"
	"html/template"
	"math"
)

var (
	//go:embed chart.js
	script string
	//go:embed chart.css
	style string
)

// Script is chart.js, for a page's script element.
func Script() template.JS { return template.JS(script) }

// Style is chart.css, for a page's style element.
func Style() template.CSS { return template.CSS(style) }

// Chart is lines over one axis, as chart.draw takes it.
type Chart struct {
	Title string `json:"title"`
	X     string `json:"x"`               // label of the axis: seconds, unless it counts nines
	Nines bool   `json:"nines,omitempty"` // the axis counts nines, see Nines
	Unit  string `json:"unit,omitempty"`  // of the values: ms, B, or "" for plain numbers
	Log   bool   `json:"log,omitempty"`   // values are on a logarithmic axis
	Lines []Line `json:"lines"`
}

// Line is one line of a Chart. Its points ascend along the axis.
type Line struct {
	Label  string  `json:"label"`
	Points []Point `json:"points"`
}

// Point is a position on the axis and the value there.
type Point [2]float64

// Add adds a line. Points that the chart cannot show are left out: numbers that are not finite and,
// on a logarithmic axis, values that are not above 0. A line without points is not added.
func (c *Chart) Add(label string, points []Point) {
	l := Line{Label: label}
	for _, p := range points {
		if finite(p[0]) && finite(p[1]) && (!c.Log || p[1] > 0) {
			l.Points = append(l.Points, p)
		}
	}
	if len(l.Points) > 0 {
		c.Lines = append(c.Lines, l)
	}
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// Nines returns where a percentile is on an axis that counts nines: 0 for 0 %, 1 for 90 %, 2 for 99
// %. The longest of n is where the n'th of them would be.
func Nines(percent float64, n int64) float64 {
	if percent >= 100 {
		return math.Log10(float64(max(n, 1)))
	}
	return -math.Log10(1 - percent/100)
}
