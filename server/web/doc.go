// Package web serves what people read on the internal port: the guide, which is the Markdown of the
// folder docs, the two specifications (openapi.yaml of the internal port, asyncapi.yaml of the
// socket), and pages of both. Nothing of it comes from elsewhere at run time.
//
// Files are embedded and never change, so any goroutine may read them. A page is rendered when it is
// asked for, on the goroutine of the request (guide.go). The specifications are turned into JSON once,
// by New (spec.go), which fails if they are not what they should be. Package server decides how many
// requests may run at a time.
//
// A page is added as a file of the folder docs, with a row in index.md. An endpoint is added to
// openapi.yaml, and a message to asyncapi.yaml: a test of package server sends and expects all that
// they name, and refuses what they do not.
package web
