// Runs README's client with sockets and a clock of the test's own: what it asks for and how
// long it waits, by close code, error and notice. The test puts the client before this.
const assert = require("node:assert");
let timers = [], most = 65536;
globalThis.setTimeout = (f, ms, ...args) => { timers.push({ ms, run: () => f(...args) }); return timers.at(-1); };
globalThis.clearTimeout = (t) => { timers = timers.filter((u) => u !== t); };
Math.random = () => 0.5;
globalThis.WebSocket = class {
  sent = [];
  readyState = 0;
  constructor() { globalThis.socket = this; }
  send(text) { this.sent.push(JSON.parse(text)); }
  close() { this.readyState = 3; }
  open() { this.readyState = 1; this.say({ method: "auth_required", params: { maxMessage: most } }); }
  say(m) { this.onmessage({ data: JSON.stringify(m) }); }
  end(code) { this.readyState = 3; this.onclose({ code, reason: "" }); }
};

const settled = () => new Promise((done) => setImmediate(done));
const waits = () => timers.map((t) => t.ms).filter((ms) => ms !== 60000); // but for silence
const fire = async () => { const t = timers.find((t) => t.ms !== 60000); clearTimeout(t); t.run(); await settled(); };
const asked = () => { const { method, params } = socket.sent.at(-1); return { method, params }; };
let failed = [], n = 0;
const begin = async (rooms = ["a"]) => {
  timers = [];
  failed = [];
  const client = tapecast("ws://x", rooms, {
    token: async () => `t${++n}`, message() {}, notice() {}, failed: (error, room) => failed.push([error.code, room]),
  });
  await settled();
  socket.open();
  return client;
};
const joined = (at, more) => socket.say({ method: "auto_subscribed", params: { positions: at, ...more } });
const since = () => asked().params.since;

(async () => {
  // How long by close code, and longer each time that nothing is joined.
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

  // A new token for each connection, and from the place of each message and notice.
  const client = await begin(["a", "b", "c"]);
  const again = async (want) => { // cuts, and sees where the client goes on from
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
  socket.say({ room: "a", data: null }); // a key that has gone: no place
  socket.say({ method: "snapshot_begin", params: { room: "b" } });
  socket.say({ room: "b", pos: "0:3", data: 1 });
  await again({ a: { epoch: "x", 0: 5, 1: 9 } }); // b is within its snapshot, which begins again
  socket.say({ method: "snapshot_end", params: { room: "b", positions: { epoch: "y", 0: 4 } } });
  socket.say({ method: "positions", params: { a: { epoch: "x", 0: 6, 1: 9 } } });
  socket.say({ method: "gap", params: { room: "b", from: { epoch: "y", 0: 4 }, to: { epoch: "y", 0: 8 } } });
  await again({ a: { epoch: "x", 0: 6, 1: 9 }, b: { epoch: "y", 0: 8 } });
  socket.say({ method: "reset", params: { room: "a", epoch: "z" } });
  socket.say({ room: "a", pos: "0:0", data: 1 });
  await again({ a: { epoch: "z", 0: 0 }, b: { epoch: "y", 0: 8 } });

  // Passing trouble: the room, or the whole request, is asked for again from the same place.
  joined({ a: { epoch: "z", 0: 0 } }, { errors: [{ room: "b", error: { code: -32010, data: { retryAfter: 100 } } }] });
  assert.deepEqual(waits(), [150]);
  await fire();
  assert.deepEqual(asked(), { method: "subscribe", params: { rooms: ["b"], since: { b: { epoch: "y", 0: 8 } } } });
  socket.say({ id: socket.sent.at(-1).id, error: { code: -32004, data: { retryAfter: 200 } } });
  assert.deepEqual(waits(), [300]);
  await fire();
  assert.deepEqual(asked(), { method: "subscribe", params: { rooms: ["b"], since: { b: { epoch: "y", 0: 8 } } } });
  assert.deepEqual(failed, []);
  const old = { code: -32008, data: { oldest: { epoch: "y", 0: 20 } } };
  const reply = (room) => socket.say({ id: socket.sent.at(-1).id, result: { rooms: [room] } });
  reply({ room: "b", status: "joined", recovered: false, positions: { epoch: "y", 0: 30 }, error: old });
  assert.deepEqual(failed, [[-32008, "b"]]);

  // Left, it goes on from the reply's place, but never from one before its last message.
  let left = client.leave(["b"]);
  reply({ room: "b", status: "left", positions: { epoch: "y", 0: 25, 1: 3 } });
  await left;
  client.join(["b"]);
  assert.deepEqual(since(), { b: { epoch: "y", 0: 30, 1: 3 } });
  left = client.leave(["b"]);
  await again({ a: { epoch: "z", 0: 0 } });
  await left; // though its reply was lost

  // What was to be asked again is not, on another connection.
  joined({}, { errors: [{ room: "a", error: { code: -32010, data: { retryAfter: 100 } } }] });
  const [late] = timers.filter((t) => t.ms === 150);
  socket.end(1006);
  clearTimeout(late);
  await fire();
  socket.open();
  late.run();
  assert.equal(socket.sent.length, 1);

  // A token is renewed on the connection, silence ends it, and so does the page.
  socket.say({ method: "auth_expiring", params: {} });
  await settled();
  assert.deepEqual(asked(), { method: "authenticate", params: { token: `t${n}` } });
  timers.find((t) => t.ms === 60000).run();
  assert.equal(waits().length, 1);
  await fire();
  socket.open();
  client.close();
  socket.end(1000);
  assert.deepEqual(timers, []);

  // What is too long for one message is asked for in parts, but for what was left meanwhile.
  const many = Array.from({ length: 40 }, (_, i) => `r\u00fc${i}`), places = {};
  for (const room of many) places[room] = { epoch: "e", 0: 1000, 1: 2000 };
  const greedy = await begin(many);
  joined(places);
  socket.end(1006);
  await fire();
  most = 1000;
  socket.open();
  assert.deepEqual(asked().params, { token: `t${n}`, join: [] });
  let parts = 0;
  const got = {};
  for (const { id, method, params } of socket.sent) { // which grows meanwhile
    assert.ok(Buffer.byteLength(JSON.stringify({ id, method, params })) <= most);
    if (method === "subscribe") {
      assert.deepEqual(Object.keys(params.since), params.rooms);
      Object.assign(got, params.since);
      if (++parts === 1) greedy.leave([many[39]]);
    }
    socket.say({ id, result: {} });
    await settled();
  }
  delete places[many[39]];
  assert.deepEqual(got, places);
  assert.ok(parts > 2 && parts < 10, `${parts} parts`);
  most = 65536;

  const { log } = console;
  console.log = () => {}; // what the page says
  usage(async () => ({ text: async () => "the page's own" }));
  await settled();
  socket.open();
  assert.deepEqual(asked().params, { token: "the page's own", join: ["prices:BTCUSDT", "orders:42"], since: {} });
  log("all of it holds"); // and nothing was waited for in vain
})();
