//go:build !race

package wsread

const raceEnabled = false
