// Package demo is what a gateway without a configuration shows, and what tests and
// measurements replay: an embedded broker, a generated market, and recorded feeds. Only the
// server imports it.
//
// StartEmbedded starts a broker in this process (franz-go's kfake), which clients reach over
// TCP like any other. StartMarket produces a market into it: tickers and trades of more than
// fifty symbols, and orders, portfolios and messages of a few users. Topics and Routes say
// where they go. The market's schedule is a pure function of its seed (schedule.go), and its
// generator yields the same records for the same seed, start and users.
//
// Replay produces a recorded feed (FeedFile) into a topic, open loop: each record is due at
// its recorded time, and late means at once.
//
// An Embedded broker and a Market may be stopped by any goroutine. A generator and a FeedFile
// belong to one goroutine.
package demo
