// Package js is the JavaScript client, and holds its bundle for the gateway to serve.
//
// The client itself is TypeScript, in src. dist/*.js is made of it by esbuild, which go.mod
// pins as a tool, and dist/*.d.ts by the TypeScript compiler. Both are committed, so that neither
// node nor npm is needed to build the gateway. `make client` makes them again, and the tests here
// find the bundle as small as it was promised, and the same byte for byte.
//
// # How the client is built
//
//   - link.ts keeps one connection: its token, waits, silence and requests. It knows no rooms.
//   - joins.ts asks for rooms on it, loads their state and leaves them, a few requests at a time.
//   - client.ts takes the answers, and gives each message to those who asked for it.
//   - place.ts is what is known of one room or wildcard: where it stands, its last values; room.ts is what a
//     connection knows of it besides.
//   - store.ts keeps positions across page loads.
//   - api.ts is what applications see.
//   - shared.ts is the client of a page that shares its connection with others, and hub.ts the other end.
//     It runs in a SharedWorker and uses client.ts as an application does. It is a bundle of its own.
//
// A member has the wishes of its own name, or of the wildcard that joined it (Member._of). A room that
// was left stays in Joins._leaving until the gateway has left it: until then nothing that overlaps with
// it is joined, and what comes of it is dropped.
//
// What is kept is bounded by the application's rooms, and by the gateway's limits of a wildcard. Besides
// them: 1000 calls that wait for the connection or their answers, 1000 stored positions, 8 requests at a time,
// waits of a day, and one timer for each answer that says to wait. A page may be 10,000 messages behind the
// worker, besides last values, which are sent whole. Then it is told of a gap, and of how its joins ended, and
// has the last values, once it reads again.
//
// Everything runs on the one thread of a page, so nothing there is locked. A message passes from the
// socket through Link._hear and Client._message, which drops what the room has had, to the handlers.
// Whatever began on an earlier connection carries its turn, and is dropped when that has passed.
// Names that begin with _ are the client's own, and are shortened in the bundle.
//
// test/driver.mjs runs the bundle for server/client/scenarios.yaml, with the scenario's own clock.
// test/shared.mjs has the tests of pages that share, with ports in place of a worker; test/bounds.mjs those of bounds.
package js
