// Package jsontext has what the gateway asks of JSON that strangers send, beyond what a parser
// does: how deep it nests (TooDeep, before it is parsed), and whether a name stands twice in an
// object (Doubled). Quoted is a stranger's text as it may stand in a message or a log line. All
// are pure functions.
package jsontext
