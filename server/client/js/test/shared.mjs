// Pages that share a connection, in node. A worker is a port into the same process, a page's end is the
// release of its lock, and the gateway is a socket of this file's own.
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

let sockets, worker, locks, tapes;
globalThis.onconnect = null; // the module takes this scope for a worker's too
globalThis.console.error = () => {};

class Socket {
  readyState = 1;
  asked = [];
  constructor() {
    sockets.push(this);
    queueMicrotask(() => this.says({ method: "auth_required", params: {} }));
  }
  says(m) { this.onmessage?.({ data: JSON.stringify(m.room ? m : { jsonrpc: "2.0", ...m }) }); }
  send(text) {
    const { id, method, params } = JSON.parse(text);
    this.asked.push([method, params]);
    if (method === "authenticate") {
      this.token = params.token;
      this.says({ id, result: {} });
      this.says({ method: "auto_subscribed", params: {} });
    } else if (method === "subscribe") {
      this.says({ id, result: { rooms: params.rooms.map((room) => room === "bad"
        ? { room, error: { code: -32007, message: "forbidden" } }
        : { room, status: "joined", chain: false, positions: { epoch: "e", 0: 5 } }) } });
    } else if (method === "refused") this.says({ id, error: { code: -32601, message: "no such method" } });
    else this.says({ id, result: { params } });
  }
  close() { this.closed = true; }
  named(method) { return this.asked.filter(([m]) => m === method).flatMap(([, p]) => p.rooms); }
}
globalThis.WebSocket = Socket;

class Worker {
  constructor(_, { name }) {
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    ports.push(port1, port2);
    if (worker === "silent") return;
    workers[name] ??= globalThis.onconnect;
    workers[name]({ ports: [port2] });
  }
}
// A lock is held until the promise of its holder ends. `end` ends a page, with all locks that it holds.
const request = async (name, hold) => {
  const before = locks[name];
  let free;
  locks[name] = new Promise((done) => { free = done; });
  ends[name] ??= free;
  await before;
  await Promise.race([hold(), locks[name]]);
  free();
};
let ports = [], ends = {}, workers = {}, n = 0, connect;
Object.defineProperty(globalThis, "navigator", { value: { locks: { request } }, configurable: true });

// A program that does not end after this has something left of a page.
afterEach(async () => {
  for (const tape of tapes) tape.close();
  for (let i = 0; i < 10; i++) await new Promise(setImmediate);
  for (const port of ports) port.close();
});
beforeEach(async () => {
  sockets = [];
  tapes = [];
  ports = [];
  locks = {};
  ends = {};
  workers = {};
  worker = "";
  globalThis.SharedWorker = Worker;
  ({ connect } = await import(`../dist/shared.js?${n++}`)); // with a hub of its own
});

/** Waits until ok holds. Only a fault lasts long. */
const until = async (ok, what) => {
  for (const most = Date.now() + 10_000; !ok();) {
    assert(Date.now() < most, what ?? String(ok));
    await new Promise(setImmediate);
  }
};
const open = (options) => {
  const tape = connect({ url: "ws://x", name: "u", worker: "w.js", ...options });
  tapes.push(tape);
  return tape;
};
const join = (tape, name, options) => {
  const room = tape.room(name, options), seen = [];
  for (const event of ["message", "gap", "reset", "joined", "error"]) {
    room.on(event, (what) => seen.push([event, event === "message" ? what.data : what]));
  }
  return { room, seen, data: () => seen.filter(([e]) => e === "message").map(([, d]) => d) };
};
const joined = ({ seen }) => seen.some(([event]) => event === "joined");

test("thirty pages are one connection, and each has every message once", async () => {
  const pages = Array.from({ length: 30 }, () => join(open(), "a"));
  await until(() => pages.every(joined));
  for (let i = 6; i < 106; i++) sockets[0].says({ room: "a", key: `k${i % 3}`, pos: `0:${i}`, data: i });
  await until(() => pages.every((p) => p.data().length === 100));
  for (const p of pages) {
    assert.deepEqual(p.data(), Array.from({ length: 100 }, (_, i) => i + 6));
    assert.equal(p.room.last.get("k0").data, 105);
    assert.deepEqual(p.room.positions, { epoch: "e", 0: 105 });
  }
  assert.equal(sockets.length, 1);
  assert.deepEqual(sockets[0].named("subscribe"), ["a"]);
  const late = join(open(), "a"); // has the last values, as from a snapshot
  await until(() => late.data().length === 3);
  assert.deepEqual(late.data().sort(), [103, 104, 105]);
});

test("a page that ends takes nothing from the others, and the last one of a room leaves it", async () => {
  const first = join(open(), "a"), firsts = join(open({ name: "" }), "b");
  await until(() => joined(first) && joined(firsts));
  const names = Object.keys(ends);
  const second = join(open(), "a");
  await until(() => joined(second));
  ends[names[0]](); // the page that came first
  ends[names[1]]();
  await until(() => sockets[0].named("unsubscribe").length);
  assert.deepEqual(sockets[0].named("unsubscribe"), ["b"]);
  sockets[0].says({ room: "a", pos: "0:6", data: 6 });
  await until(() => second.data().length === 1);
  assert.equal(sockets.length, 1);
  assert(!sockets[0].closed);
});

test("the token is another page's if one does not answer", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    let n = 0, asked = false;
    const tape = open({ token: () => `t${++n}` });
    await until(() => tape.state === "open");
    const frozen = open({ token: () => new Promise(() => (asked = true)) });
    await until(() => frozen.state === "open");
    sockets[0].says({ method: "auth_expiring", params: {} });
    await until(() => asked);
    assert.equal(sockets[0].token, "t1");
    mock.timers.tick(10_000);
    await until(() => sockets[0].token === "t2");
  } finally {
    mock.timers.reset();
  }
});

test("without a worker, and with one that does not start, each page has a connection", async () => {
  delete globalThis.SharedWorker;
  const alone = [join(open(), "a"), join(open(), "a")];
  await until(() => alone.every(joined));
  assert.equal(sockets.length, 2);
  globalThis.SharedWorker = Worker;
  const asked = join(open({ worker: undefined }), "a"); // no script was named
  await until(() => joined(asked));
  assert.equal(sockets.length, 3);
  worker = "silent";
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const tape = open(), late = join(tape, "a"), called = tape.call("x", [1]);
    await until(() => ports.length > 0);
    mock.timers.tick(5000);
    await until(() => joined(late));
    assert.deepEqual(await called, { params: [1] });
    assert.equal(sockets.length, 4);
  } finally {
    mock.timers.reset();
  }
});

test("a page that does not read is told of a gap, and has the last values", async () => {
  const page = join(open(), "a");
  await until(() => joined(page));
  for (let i = 0; i < 20_000; i++) sockets[0].says({ room: "a", key: "k", pos: `0:${i + 6}`, data: i });
  await until(() => page.seen.some(([event]) => event === "gap"));
  await until(() => page.data().at(-1) === 19_999);
  assert(page.data().length < 10_010);
  assert.equal(page.room.last.get("k").data, 19_999);
  assert.deepEqual(page.room.positions, { epoch: "e", 0: 20_005 });
  sockets[0].says({ room: "a", key: "k", pos: "0:20006", data: "next" });
  await until(() => page.data().at(-1) === "next");
});

test("a page that comes late has all last values, and what comes after them, however many they are", async () => {
  const early = join(open(), "a"), keys = 25_000;
  await until(() => joined(early));
  for (let i = 0; i < keys; i++) {
    sockets[0].says({ room: "a", key: `k${i}`, pos: `0:${i + 6}`, data: i });
    if (i % 5000 === 4999) await until(() => early.data().length > i);
  }
  const late = join(open(), "a"), refused = join(open(), "bad");
  await until(() => late.data().length >= keys);
  await until(() => refused.seen.length);
  for (let i = 0; i < 2000; i++) sockets[0].says({ room: "a", key: "k0", pos: `0:${keys + 6 + i}`, data: -i });
  await until(() => late.data().at(-1) === -1999);
  assert.equal(late.room.last.size, keys);
  assert.equal(late.data().length, keys + 2000);
  assert(!late.seen.some(([event]) => event === "gap"));
});

test("a page that does not read is told how a join ended, and of a reset, once it reads", async () => {
  const tape = open(), page = join(tape, "a");
  await until(() => joined(page));
  for (let i = 0; i < 20_000; i++) sockets[0].says({ room: "a", pos: `0:${i + 6}`, data: i });
  const bad = join(tape, "bad"), other = join(tape, "b"); // their answers come while it is behind
  for (let i = 20_000; i < 40_000; i++) sockets[0].says({ room: "a", pos: `0:${i + 6}`, data: i });
  sockets[0].says({ method: "reset", params: { room: "a", epoch: "f" } });
  await until(() => page.seen.some(([event]) => event === "reset"));
  await until(() => joined(other));
  await until(() => bad.seen.some(([event]) => event === "error"));
  sockets[0].says({ room: "a", pos: "0:0", data: "next" });
  await until(() => page.data().at(-1) === "next");
  assert.deepEqual(page.room.positions, { epoch: "f", 0: 0 });
});

test("a snapshot on one connection is none of the other's", async () => {
  const tape = open(), all = join(tape, "w:1"), some = join(open(), "w:1", { keys: ["k"] }), wild = join(tape, "w:*");
  await until(() => [all, some, wild].every(joined));
  for (const socket of sockets) socket.says({ room: "w:1", key: "k", pos: "0:6", data: 6 });
  await until(() => [all, some].every((p) => p.room.last.size === 1));
  const other = sockets.find((s) => s.named("subscribe").includes("w:*"));
  other.says({ method: "joined", params: { room: "w:1", pattern: "w:*", positions: { epoch: "e", 0: 5 } } });
  other.says({ method: "snapshot_begin", params: { room: "w:1" } });
  other.says({ room: "w:1", key: "z", data: "z" });
  other.says({ method: "snapshot_end", params: { room: "w:1", positions: { epoch: "e", 0: 9 } } });
  other.says({ method: "positions", params: { "w:1": { epoch: "e", 0: 12 } } });
  await until(() => wild.room.rooms.get("w:1")?.positions[0] === 12);
  assert.deepEqual([...wild.room.rooms.get("w:1").last.keys()], ["z"]);
  assert.deepEqual([...all.room.last.keys()], ["k"]);
  assert.deepEqual(all.room.positions, { epoch: "e", 0: 6 });
  assert.deepEqual([...some.room.last.keys()], ["k"]);
});

test("of a room and a wildcard that covers it the page's handlers have each message once", async () => {
  const f = async (names, first) => {
    const tape = open(), told = [], from = sockets.length;
    tape.on("message", (m) => told.push(m.data));
    const all = names.map((name) => join(tape, name));
    await until(() => all.every((p) => p.seen.length));
    const on = (name) => sockets.slice(from).find((s) => s.named("subscribe").includes(name)) ?? sockets[0];
    for (const name of names) {
      const params = { room: "w:1", pattern: name, positions: { epoch: "e", 0: 5 } };
      if (name !== "w:1") on(name).says({ method: "joined", params });
      on(name).says({ room: "w:1", pos: "0:6", data: name });
    }
    await until(() => all.every((p) => p.data().length === 1));
    assert.deepEqual(told, [first]);
    all[names.indexOf(first)].room.leave();
    const second = names.find((name) => name !== first);
    on(second).says({ room: "w:1", pos: "0:7", data: "after" });
    await until(() => told.length === 2);
    tape.close();
    for (const socket of sockets) await until(() => socket.closed);
  };
  await f(["w:1", "w:*"], "w:1");
  await f(["w:*", "w:1"], "w:*");
  await f(["w:*", "w:1*"], "w:*");
});

test("a page with another token or address is not on the connection of the others", async () => {
  const f = async (one, two) => {
    const from = sockets.length, pages = [join(open(one), "a"), join(open(two), "a")];
    await until(() => pages.every(joined));
    assert.equal(sockets.length, from + 2);
    for (const tape of tapes) tape.close();
    for (const socket of sockets) await until(() => socket.closed);
  };
  await f({ token: "t" }, {});
  await f({}, { token: "t" });
  await f({}, { url: "ws://y" });
  await f({ token: "t", name: undefined }, { token: "u", name: undefined });
});

test("a further connection is seen: its state, and why the gateway ended it", async () => {
  const tape = open(), states = [], alone = open();
  const first = join(tape, "w:1");
  await until(() => joined(first) && tape.state === "open");
  tape.on("state", (state, why) => states.push([state, why?.code]));
  const second = join(tape, "w:*");
  await until(() => joined(second) && tape.state === "open");
  sockets[1].onclose({ code: 1012, reason: "drain" });
  await until(() => tape.state === "waiting");
  assert.deepEqual(states.at(-1), ["waiting", 1012]);
  assert.equal(alone.state, "open");
  second.room.leave();
  await until(() => tape.state === "open");
  const third = join(tape, "w:*");
  await until(() => joined(third));
  sockets.at(-1).onclose({ code: 4003, reason: "too many" });
  await until(() => third.seen.some(([event]) => event === "error"));
  assert.equal(third.seen.at(-1)[1].code, 4003);
  await until(() => tape.state === "open");
  sockets[0].says({ room: "w:1", pos: "0:6", data: 6 });
  await until(() => first.data().length === 1);
});

test("rooms that one connection cannot have are on another one", async () => {
  const pages = [join(open(), "w:1"), join(open(), "w:1", { keys: ["k"] }), join(open(), "w:*"), join(open(), "b")];
  await until(() => pages.every(joined));
  assert.deepEqual(sockets.map((s) => s.named("subscribe")), [["w:1", "b"], ["w:1"], ["w:*"]]);
  pages[2].room.leave();
  await until(() => sockets[2].closed);
});

test("a wildcard's rooms are the page's own", async () => {
  const pages = [join(open(), "w:*"), join(open(), "w:*")], [one, two] = pages;
  await until(() => pages.every(joined));
  sockets[0].says({ method: "joined", params: { room: "w:1", pattern: "w:*", positions: { epoch: "e", 0: 5 } } });
  sockets[0].says({ room: "w:1", key: "k", pos: "0:6", data: 6 });
  await until(() => pages.every((p) => p.data().length === 1));
  assert.deepEqual(one.room.rooms.get("w:1").positions, { epoch: "e", 0: 6 });
  assert.equal(two.room.rooms.get("w:1").last.get("k").data, 6);
  one.room.rooms.get("w:1").leave();
  sockets[0].says({ room: "w:1", key: "k", pos: "0:7", data: 7 });
  await until(() => two.data().length === 2);
  assert.deepEqual(one.data(), [6]);
  assert.deepEqual(sockets[0].named("unsubscribe"), []);
});

test("state that a page loads is its own, and so is that connection", async () => {
  const tape = open(), load = async () => ({ state: "s", positions: { epoch: "e", 0: 5 } });
  const own = join(tape, "o", { load });
  await until(() => joined(own));
  assert.deepEqual(sockets.map((s) => s.named("subscribe")).filter((all) => all.length), [["o"]]);
});

test("refusals, calls and the end are told", async () => {
  const tape = open(), states = [];
  tape.on("state", (state) => states.push(state));
  const bad = join(tape, "bad");
  await until(() => bad.seen.length);
  assert.equal(bad.seen[0][1].code, -32007);
  const late = join(open(), "bad");
  await until(() => late.seen.length);
  assert.equal(late.seen[0][1].code, -32007);
  assert.deepEqual(await tape.call("x", { a: 1 }), { params: { a: 1 } });
  await assert.rejects(tape.call("refused"), { code: -32601 });
  await assert.rejects(tape.call("x", () => {}));
  sockets[0].send = () => {};
  const lost = tape.call("x");
  tape.close();
  await assert.rejects(lost, { code: 1006 });
  await assert.rejects(tape.call("x"), { code: 1006 });
  assert.deepEqual(states.slice(-2), ["open", "closed"]);
  assert.equal(tape.state, "closed");
});
