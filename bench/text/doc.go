// Package text writes reports for a reader: tables, numbers with their units. It
// imports nothing of ours.
package text
