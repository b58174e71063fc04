// Command tapecast-bench loads a gateway with WebSocket clients. It measures what they get
// and what it costs.
//
// A command is a function here that fills a config of package bench and runs it. Its words are in
// commands.txt. Each group of the help has a file. The doc.go of package bench says where a new
// scenario goes.
//
// Exit codes: 0 measured; 1 the bench itself was the bottleneck, or something broke, so the
// figures prove nothing; 2 bad input, nothing measured; 3 measured, but messages were lost,
// doubled, out of order or torn.
package main
