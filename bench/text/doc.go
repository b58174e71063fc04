// Package text formats reports: tables, and numbers with their units. It imports nothing
// of ours.
package text
