// Package registry starts the parts of a process in the order of their needs, watches them, restarts
// those whose policy says so, and stops them in reverse order. It is a leaf: it does not know what a
// Service does.
//
// New orders the services, and fails if a name is unknown or if they need each other in a circle.
// Start and Stop are called once each (registry.go). Between them one goroutine looks at each service
// in its own interval, logs what changed, and restarts services that have failed, after a wait that
// doubles (watch.go). A service needs others or wants them. One that it needs must run before it is
// started, and if it follows, it stops and starts again with that one. Otherwise it goes on, degraded.
// Restarts have a budget: a node on which a service does not stay up says that it is unhealthy.
//
// A start or stop that ignores its deadline is left behind, and the log names it. The next one waits
// for its end, so that never two are under way (entry.go).
//
// Any goroutine may call Report and Ready at any time (report.go). Report asks all services that run,
// each within its time, which is half a second unless the service says otherwise. A service that has
// not answered by then is degraded. It is asked only once, however many callers wait, and delays none
// of them (ask.go). Troubles, if set, returns more reasons why a service is degraded.
package registry
