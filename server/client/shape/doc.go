// Package shape reads what /asyncapi.json says of each object that goes over the socket: the names of its
// properties and the JSON types of their values. The tests of the clients compare their types with it, so that a
// field is added to a schema and to the clients in one step.
//
// This package shares no code with a client and none with the gateway. Only tests import it.
package shape
