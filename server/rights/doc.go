// Package rights decides who may join which room: by the owner of a private room, and by the claims
// that the configuration asks for (allow). It knows no connections and keeps nothing of a client.
//
// A private room belongs to those whom the owner of its class names, which may be a claim. AutoJoin
// returns the configured rooms of somebody, with what the claims say in their names (auto.go).
//
// A client without a token (Who.Anonymous) may join what the configuration lists, and a service
// (auth.services) any room by its name.
//
// New compiles the Rules of a configuration once. They do not change, so any goroutine may use them.
// Claims returns the names of the claims that they need. Package session asks for each room that a
// client names (Admits) and each wildcard (AdmitsUnder), on a poller's or a loop's goroutine: a
// decision takes a look into a map for each length that a prefix in allow has, and never blocks.
//
// A rule applies to names, not to rooms that exist: a wildcard is admitted only if every room that
// it could ever join is. What cannot be decided is refused.
package rights
