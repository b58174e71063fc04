// Package jwks fetches the keys that an issuer publishes, a JWK Set, and keeps them fresh.
//
// A Source has one goroutine, Run. It fetches the set at the start, every so often, and when a
// token's kid is not known (Await). At most one fetch is under way, and two begin at least a second
// apart, or four while what is asked for is not there, however many kids are made up. Who waits is
// answered by a fetch that began after it asked, or after MaxWait with an error. A kid that such a
// fetch did not bring is refused for a while without another one (Lack, Lacks).
//
// What could not be fetched changes nothing: the keys stay, and the breaker opens after three
// failures in a row. While it is open nobody waits. An answer is used only if it is whole: status
// 200, at most 1 MiB, some key that can check a token. Redirects are followed to https only.
//
// All functions but Run return at once. The functions that Await was given run on Run's goroutine or
// on one beside it, one at a time on each, and must not block.
package jwks
