// Package registry starts the parts of a process in the order of their needs, watches them,
// restarts those that want it, and stops them in reverse order. It is a leaf: what a Service
// does is its maker's.
//
// New orders the services, and fails where a need is unknown or goes in a circle. Start and
// Stop are called once each. Between them one goroutine looks at each service every two
// seconds, logs what changed, and starts again what has failed, after a wait that doubles up
// to half a minute. Report may be called by any goroutine at any time: it asks the services
// that run, all within half a second. A service that has not answered by then is degraded,
// is asked once however many want to know, and holds up nobody. Troubles, where it is set,
// names more reasons why a service is degraded.
package registry
