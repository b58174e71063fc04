// Package registry starts the parts of a process in the order of their needs, watches them,
// restarts those that ask for it, and stops them in reverse order. It is a leaf: it does not know
// what a Service does.
//
// New orders the services, and fails if a need is unknown or needs form a circle. Start and Stop
// are called once each. Between them one goroutine looks at each service every two seconds, logs
// what changed, and restarts services that have failed, after a wait that doubles up to half a
// minute. Any goroutine may call Report at any time. It asks all services that run, within half a
// second. A service that has not answered by then is degraded. It is asked only once, however many
// callers wait, and delays none of them. Troubles, if set, returns more reasons why a service is
// degraded.
package registry
