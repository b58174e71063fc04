// Runs the clients of server/web/docs/client.md with sockets and a clock of the test's own. It checks what a client asks
// for and how long it waits, for each close code, error and notice. The test puts the clients
// before this.
const assert = require("node:assert");
let timers = [];
globalThis.setTimeout = (f, ms, ...args) => { timers.push({ ms, run: () => f(...args) }); return timers.at(-1); };
globalThis.clearTimeout = (t) => { timers = timers.filter((u) => u !== t); };
Math.random = () => 0.5;
globalThis.WebSocket = class {
  sent = [];
  readyState = 0;
  constructor() { globalThis.socket = this; }
  send(text) { this.sent.push(JSON.parse(text)); }
  close() { this.readyState = 3; }
  open() { this.readyState = 1; this.say({ method: "auth_required", params: { maxMessage: 65536 } }); }
  say(m) { this.onmessage({ data: JSON.stringify(m) }); }
  end(code) { this.readyState = 3; this.onclose({ code, reason: "" }); }
};

const settled = () => new Promise((done) => setImmediate(done));
const waits = () => timers.map((t) => t.ms).filter((ms) => ms !== 60000); // without that for silence
const fire = async () => { const t = timers.find((t) => t.ms !== 60000); clearTimeout(t); t.run(); await settled(); };
const asked = () => { const { method, params } = socket.sent.at(-1); return { method, params }; };
let failed = [], n = 0;
let heard = [];
let told = [];
const begin = async (rooms = ["a"], roams = false) => {
  timers = [];
  failed = [];
  heard = [];
  const yours = {
    token: async () => `t${++n}`, message: (m) => heard.push(m.data), notice: (method) => told.push(method),
    failed: (error, room) => failed.push([error.code, room]),
  };
  const client = roams ? roaming("ws://x", yours) : tapecast("ws://x", rooms, yours);
  if (roams) client.join(rooms);
  await settled();
  socket.open();
  return client;
};
const joined = (at, more) => socket.say({ method: "auto_subscribed", params: { positions: at, ...more } });
const since = () => asked().params.since;
const reply = (...rooms) => socket.say({ id: "subscribe", result: { rooms } });

// Rooms that are left and joined, and a wildcard. Each message comes once.
const comeAndGo = async () => {
  const client = await begin(["b", "w:*"], true);
  client.join(["early"]); // asked for as soon as it may be
  assert.deepEqual(asked(), { method: "authenticate", params: { token: `t${n}`, join: [], since: {} } });
  joined({});
  assert.deepEqual(asked(), { method: "subscribe", params: { rooms: ["b", "w:*", "early"], since: {} } });
  client.leave(["early"]);
  assert.deepEqual(asked(), { method: "unsubscribe", params: { rooms: ["early"] } });

  // After a leave, a room resumes from the reply's position, but never from one before its last message.
  reply({ room: "b", status: "joined", positions: { epoch: "y", 0: 20, 1: 1 } });
  socket.say({ room: "b", pos: "0:30", data: 30 });
  client.leave(["b"]);
  socket.say({ room: "b", pos: "0:31", data: 31 });
  client.join(["b"]); // before the answer
  assert.deepEqual(since(), { b: { epoch: "y", 0: 31, 1: 1 } });
  socket.say({ room: "b", pos: "0:32", data: 32 });
  reply({ room: "b", status: "left", positions: { epoch: "y", 0: 25, 1: 3 } });
  reply({ room: "b", status: "joined", recovered: true, positions: { epoch: "y", 0: 31, 1: 1 } });
  for (const offset of [32, 33]) socket.say({ room: "b", pos: `0:${offset}`, data: offset });
  assert.deepEqual(heard, [30, 31, 32, 33]);

  // A wildcard has a position of its own. What is sent again from there is dropped.
  const places = (at) => ({ room: "w:*", status: "joined", positions: { epoch: "e", 0: at },
    rooms: [{ room: "w:1", status: "joined", positions: { epoch: "e", 0: at } }] });
  reply(places(5));
  heard = [];
  socket.say({ room: "w:1", pos: "0:6", data: 6 });
  socket.say({ method: "joined", params: { room: "w:2", pattern: "w:*", positions: { epoch: "e", 0: 5 } } });
  socket.say({ room: "w:2", pos: "0:7", data: 7 });
  const again = async () => { socket.end(1006); await fire(); socket.open(); joined({}); };
  await again();
  assert.deepEqual(since(), { b: { epoch: "y", 0: 33, 1: 3 }, "w:*": { epoch: "e", 0: 5 } });
  reply(places(5));
  socket.say({ room: "w:1", pos: "0:6", data: 6 });
  socket.say({ room: "w:1", pos: "0:8", data: 8 });
  assert.deepEqual(heard, [6, 7, 8]);
  socket.say({ method: "positions", params: { "w:*": { epoch: "e", 0: 8 } } });
  await again();
  assert.deepEqual(since()["w:*"], { epoch: "e", 0: 8 });
  socket.say({ method: "reset", params: { room: "w:1", epoch: "f" } });
  socket.say({ room: "w:1", pos: "0:0", data: 0 });
  assert.deepEqual(heard, [6, 7, 8, 0]);
  await again();
  assert.deepEqual(since()["w:*"], { epoch: "f" });
  const made = (epoch) => ({ room: "w:2", positions: { epoch, 0: -1 } }); // without a reset before it
  reply({ room: "w:*", status: "joined", positions: { epoch: "f" }, rooms: [made("f")] });
  socket.say({ room: "w:2", pos: "0:1", data: 1 });
  socket.say({ method: "joined", params: made("g") });
  socket.say({ room: "w:2", pos: "0:0", data: 2 });
  assert.deepEqual(heard, [6, 7, 8, 0, 1, 2]);

  // A temporary error: the client asks again later, unless it left meanwhile. Other errors are reported.
  const late = { code: -32010, data: { retryAfter: 100 } };
  reply({ room: "w:*", error: late }, { room: "b", error: late }, { room: "c", error: { code: -32006 } });
  assert.deepEqual(waits(), [150, 150]);
  client.leave(["b"]);
  await fire();
  assert.deepEqual(asked(), { method: "subscribe", params: { rooms: ["w:*"], since: { "w:*": { epoch: "f" } } } });
  await fire();
  assert.deepEqual(asked().params.rooms, ["w:*"]);
  assert.deepEqual(failed, [[-32006, "c"]]);
  client.close();
};

// A request that is too long for one message is made in parts.
const inParts = async () => {
  const many = Array.from({ length: 100 }, (_, i) => `r${i}`), places = {};
  for (const room of many) places[room] = { epoch: "e", 0: 1000, 1: 2000 };
  const client = await begin(many, true);
  joined({});
  reply(...many.map((room) => ({ room, status: "joined", positions: places[room] })));
  client.leave([many[99]]);
  delete places[many[99]];
  socket.end(1006);
  await fire();
  socket.open();
  joined({});
  const got = {}, [, ...parts] = socket.sent;
  for (const { params } of parts) {
    assert.deepEqual(Object.keys(params.since), params.rooms);
    Object.assign(got, params.since);
  }
  assert.deepEqual(got, places);
  assert.equal(parts.length, 3);
  client.close();
};

(async () => {
  // The wait for each close code. It grows each time that nothing is joined.
  const wait = async (code, ...want) => {
    await begin();
    for (const ms of want) {
      socket.end(code);
      assert.deepEqual(waits(), ms === null ? [] : [ms], `closed with ${code}`);
      if (ms !== null) { await fire(); socket.open(); }
    }
  };
  for (const code of [1009, 4000, 4001, 4003, 4099]) await wait(code, null);
  for (const code of [4200, 4201, 4208, 4299, 1001, 1006, 1012, 1013]) {
    await wait(code, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000);
  }
  for (const code of [4100, 4108, 4129, 4199, 1008]) await wait(code, 7500, 15000, 30000, 45000, 45000);

  // A new token for each connection, and a resume from the position of each message and notice.
  const client = await begin(["a", "b", "c"]);
  const again = async (want) => { // cuts, and checks from where the client resumes
    const token = asked().params.token ?? "";
    socket.end(1006);
    await fire();
    socket.open();
    assert.deepEqual(since(), want);
    assert.notEqual(asked().params.token, token);
  };
  assert.deepEqual(asked().params, { token: `t${n}`, join: ["a", "b", "c"], since: {} });
  joined({ a: { epoch: "x", 0: 5, 1: 7 }, b: {} });
  socket.say({ room: "a", pos: "1:9", data: 1 });
  socket.say({ room: "a", data: null }); // an expired key: no position
  socket.say({ method: "snapshot_begin", params: { room: "b" } });
  socket.say({ room: "b", pos: "0:3", data: 1 });
  await again({ a: { epoch: "x", 0: 5, 1: 9 } }); // b is within its snapshot, which starts again
  socket.say({ method: "snapshot_end", params: { room: "b", positions: { epoch: "y", 0: 4 } } });
  socket.say({ method: "positions", params: { a: { epoch: "x", 0: 6, 1: 9 } } });
  socket.say({ method: "gap", params: { room: "b", from: { epoch: "y", 0: 4 }, to: { epoch: "y", 0: 8 } } });
  await again({ a: { epoch: "x", 0: 6, 1: 9 }, b: { epoch: "y", 0: 8 } });
  socket.say({ method: "reset", params: { room: "a", epoch: "z" } });
  socket.say({ room: "a", pos: "0:0", data: 1 });
  await again({ a: { epoch: "z", 0: 0 }, b: { epoch: "y", 0: 8 } });

  // A temporary error: the room, or the whole request, is asked for again from the same position.
  joined({ a: { epoch: "z", 0: 0 } }, { errors: [{ room: "b", error: { code: -32010, data: { retryAfter: 100 } } }] });
  assert.deepEqual(waits(), [150]);
  await fire();
  assert.deepEqual(asked(), { method: "subscribe", params: { rooms: ["b"], since: { b: { epoch: "y", 0: 8 } } } });
  socket.say({ id: "subscribe", error: { code: -32004, data: { retryAfter: 200 } } });
  assert.deepEqual(waits(), [700]); // on another connection, no sooner than the error said
  await fire();
  socket.open();
  assert.deepEqual(since(), { a: { epoch: "z", 0: 0 }, b: { epoch: "y", 0: 8 } });
  assert.deepEqual(failed, []);
  const old = { code: -32008, data: { oldest: { epoch: "y", 0: 20 } } };
  const errors = [{ room: "b", recovered: false, error: old }], recovered = { a: true, b: false };
  joined({ a: { epoch: "z", 0: 0 }, b: { epoch: "y", 0: 30 } }, { recovered, errors });
  await again({ a: { epoch: "z", 0: 0 }, b: { epoch: "y", 0: 8 } }); // the connection ends before the gap
  joined({ a: { epoch: "z", 0: 0 }, b: { epoch: "y", 0: 30 } }, { recovered, errors });
  socket.say({ method: "gap", params: { room: "b", to: { epoch: "y", 0: 30 } } });
  assert.deepEqual(failed, [[-32008, "b"], [-32008, "b"]]);
  await again({ a: { epoch: "z", 0: 0 }, b: { epoch: "y", 0: 30 } });

  // On another connection, a request that was due again is not made.
  joined({}, { errors: [{ room: "a", error: { code: -32010, data: { retryAfter: 100 } } }] });
  const [late] = timers.filter((t) => t.ms === 150);
  socket.end(1006);
  clearTimeout(late);
  await fire();
  socket.open();
  late.run();
  assert.equal(socket.sent.length, 1);

  // A token is renewed on the connection, and silence ends it.
  socket.say({ method: "auth_expiring", params: {} });
  await settled();
  assert.deepEqual(asked(), { method: "authenticate", params: { token: `t${n}` } });
  timers.find((t) => t.ms === 60000).run();
  assert.equal(waits().length, 1);
  await fire();
  socket.open();

  // After close() the client is silent: on a connection, while it waits for another, and for a token.
  const close = async (client) => {
    const was = socket;
    told = [];
    client.close();
    await settled();
    assert.deepEqual([told, timers, was.onmessage, was.onclose], [[], [], null, null]);
    assert.equal(socket, was);
  };
  await close(client);
  const waiting = await begin();
  socket.end(1006);
  assert.deepEqual(told, ["auth_required", "closed"]);
  await close(waiting);
  const asking = await begin();
  socket.end(1006);
  timers.shift().run();
  await close(asking);

  await comeAndGo();
  await inParts();

  const { log } = console;
  console.log = () => {}; // the page's output
  usage(async () => ({ text: async () => "the page's own" }));
  await settled();
  socket.open();
  assert.deepEqual(asked().params, { token: "the page's own", join: ["prices:BTCUSDT", "orders:42"], since: {} });
  log("all of it holds"); // no wait ran out
})();
