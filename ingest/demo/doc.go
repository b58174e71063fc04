// Package demo serves a gateway without a configuration: an embedded broker and a generated
// market. Only the server imports it.
//
// StartEmbedded starts a broker in this process (franz-go's kfake). Clients reach it over
// TCP like any other. StartMarket produces a market into it: tickers and trades of more than
// fifty symbols, and orders, portfolios and messages of a few users. Topics are its topics, and
// Routes bring them to rooms. The market's schedule is a pure function of its seed
// (schedule.go). Its generator yields the same records for the same seed, start and users.
//
// Any goroutine may stop an Embedded broker or a Market. A generator belongs to one goroutine.
package demo
