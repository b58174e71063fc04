// Package chart draws lines into SVG, with the values under the pointer. It is a leaf. A page takes
// Script and Style once, and each Chart as JSON. chart.js does the rest in the browser and loads
// nothing. Colours follow the reader's light or dark scheme.
//
// chart.js offers chart.draw(element, chart), which draws, and draws again when the element's width
// changes. Everything but draw is a function of its arguments, so that node can test it.
package chart
