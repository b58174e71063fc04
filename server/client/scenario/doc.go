// Package scenario plays the gateway of server/client/scenarios.yaml, which says what a client must
// do: what the gateway sends and asks, and what the application must see. The file's own beginning
// documents its format.
//
// # How a scenario passes
//
// Run reads the file and gives each scenario a listener of its own and a Driver. A Driver is the
// client under test with a small application around it: it takes one command at a time, and answers
// it after it has told what the application saw. Run plays the steps in their order on one
// goroutine. Two more serve each connection: one accepts it, one reads its messages. Both end with
// the scenario, since they only read from sockets that it closes.
//
// Before each command to the Driver there is a barrier: a ping on the connection, whose pong proves
// that the client has read all that was sent. So nothing here waits for a time, and "nothing
// happens" is a fact.
//
// This package shares no code with a client, so that it can't share a fault with one.
package scenario
