// Package js is the JavaScript client, and holds its bundle for the gateway to serve.
//
// The client itself is TypeScript, in src. dist/client.js is made of it by esbuild, which go.mod
// pins as a tool, and dist/*.d.ts by the TypeScript compiler. Both are committed, so that neither
// node nor npm is needed to build the gateway. `make client` makes them again, and the tests here
// find the bundle as small as it was promised, and the same byte for byte.
//
// # How the client is built
//
//   - link.ts keeps one connection: its token, waits, silence and requests. It knows no rooms.
//   - client.ts joins and resumes rooms on it, and gives each message to those who asked for it.
//   - room.ts is what is known of one room or wildcard: where it stands, its last values.
//   - store.ts keeps positions across page loads.
//   - api.ts is what applications see.
//
// Everything runs on the one thread of a page, so nothing there is locked. A message passes from the
// socket through Link._hear and Client._message, which drops what the room has had, to the handlers.
// Whatever began on an earlier connection carries its turn, and is dropped when that has passed.
// Names that begin with _ are the client's own, and are shortened in the bundle.
//
// test/driver.mjs runs the bundle for server/client/scenarios.yaml, with the scenario's own clock.
package js
