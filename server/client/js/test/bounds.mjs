// What bounds the client, in node, with a gateway that answers joins alone.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { connect } from "../dist/client.js";

let socket;
class Socket {
  readyState = 1;
  asked = 0;
  constructor() {
    socket = this;
    queueMicrotask(() => this.says({ method: "auth_required", params: {} }));
  }
  says(m) { this.onmessage?.({ data: JSON.stringify(m.room ? m : { jsonrpc: "2.0", ...m }) }); }
  send(text) {
    const { id, method, params } = JSON.parse(text);
    this.asked++;
    if (method === "authenticate") {
      this.says({ id, result: { maxMessage: 1e6 } });
      this.says({ method: "auto_subscribed", params: {} });
    } else if (method === "subscribe") {
      this.says({ id, result: { rooms: params.rooms.map((room) =>
        ({ room, status: "joined", chain: true, positions: { epoch: "e", 0: 5 } })) } });
    }
  }
  close() {}
}
let tape;
afterEach(() => tape.close()); // or a fault would keep the program
const open = async (options) => {
  tape = connect({ url: "ws://x", WebSocket: Socket, ...options });
  const opened = new Promise((done) => tape.on("state", (state) => state === "open" && done()));
  return { tape, opened };
};

test("calls that wait for the connection or their answers are a thousand at most", async () => {
  const { tape, opened } = await open(), ends = [];
  const call = () => tape.call("x").catch((e) => ends.push(e.message));
  for (let i = 0; i < 500; i++) call();
  await opened;
  for (let i = 0; i < 500; i++) call();
  assert.equal(socket.asked, 1001);
  await assert.rejects(tape.call("x"), { code: 1006, message: /too many requests/ });
  assert.deepEqual(ends, []);
  tape.close();
  await new Promise(setImmediate);
  assert.equal(ends.length, 1000);
});

test("stored positions are those of a thousand rooms, first of named ones, and that is told once", async () => {
  let stored = JSON.stringify({ old: { epoch: "e", 0: 1 } });
  const storage = { getItem: () => stored, setItem: (_, text) => { stored = text; } };
  const { tape, opened } = await open({ storage }), faults = [];
  tape.on("error", (e) => faults.push(e.message));
  tape.room("w:*");
  tape.room("a");
  await opened;
  await new Promise(setImmediate);
  const joins = (from, to) => {
    for (let i = from; i < to; i++) {
      const params = { pattern: "w:*", room: `w:${i}`, chain: true, positions: { epoch: "e", 0: 1 } };
      socket.says({ method: "joined", params });
    }
  };
  joins(0, 997);
  const wild = tape.room("w:*"), late = tape.room("z");
  await new Promise(setImmediate);
  assert.equal(wild.rooms.size, 997);
  assert.deepEqual(late.positions, { epoch: "e", 0: 5 });
  joins(997, 1000);
  tape.close(); // it saves
  const names = Object.keys(JSON.parse(stored));
  assert.equal(names.length, 1000);
  assert.deepEqual(names.slice(0, 4), ["w:*", "a", "z", "w:0"]);
  assert(!names.includes("old"));
  assert.deepEqual(faults, ["cannot store positions: those of 3 rooms are too many: 1000 rooms are stored"]);
});
