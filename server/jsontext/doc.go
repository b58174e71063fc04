// Package jsontext checks JSON of clients beyond what a parser does: how deep it nests (TooDeep,
// before it is parsed), whether it is JSON to the letter (Valid), and whether a name occurs twice in an
// object (Doubled). Quoted returns a client's text in a form for messages and log lines. All are pure
// functions.
package jsontext
