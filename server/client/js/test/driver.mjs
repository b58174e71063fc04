// Drives the client for scenarios.yaml. Package scenario (Go) plays the gateway, and writes commands
// to this program, one JSON object a line. Each is answered by one line, after the lines that say
// what the application saw. The client's clock and chance are the scenario's; its sockets are real.
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { createInterface } from "node:readline";

let now = 0, luck = 0.5, timers = [];
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const turn = () => new Promise((done) => setImmediate(done));
const settle = async () => { for (let n = 0; n < 4; n++) await turn(); };

const handlers = {};
const target = {
  addEventListener: (event, f) => (handlers[event] ??= new Set()).add(f),
  removeEventListener: (event, f) => handlers[event].delete(f),
};
const fire = (event) => handlers[event]?.forEach((f) => f());
Object.assign(globalThis, target);
globalThis.document = { visibilityState: "visible", ...target };
globalThis.fake = {
  setTimeout(f, ms = 0) {
    const t = { at: now + ms, f };
    timers.push(t);
    return t;
  },
  clearTimeout(t) { timers = timers.filter((u) => u !== t); },
  performance: { now: () => now },
  Math: { __proto__: Math, random: () => luck },
};

// Every socket of the client, to know which of them have ended.
const sockets = [];
class Counted extends WebSocket {
  constructor(url, protocol) {
    super(url, protocol);
    const mine = { ended: false };
    sockets.push(mine);
    const end = () => { mine.ended = true; };
    this.addEventListener("close", end);
    this.addEventListener("error", end); // a refusal
  }
}
// What the package ws does with a refusal: it shows the answer.
class Seeing {
  constructor(url) {
    const mine = { ended: false };
    sockets.push(mine);
    const headers = { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": 13 };
    headers["Sec-WebSocket-Key"] = "AAAAAAAAAAAAAAAAAAAAAA==";
    const asking = request(url.replace("ws:", "http:"), { headers }, (answer) => {
      answer.resume();
      this.refused(asking, answer);
      mine.ended = true;
    });
    asking.end();
  }
  on(_, f) { this.refused = f; }
  terminate() { this.onclose({ code: 1006, reason: "" }); }
  close() {}
}

class Chosen {
  constructor(...args) { return options.seesRefusals && !sockets.length ? new Seeing(...args) : new Counted(...args); }
}

const shadow = "const { setTimeout, clearTimeout, performance, Math } = globalThis.fake;\n";
const bundle = shadow + readFileSync(process.argv[2], "utf8");
const { connect } = await import(`data:text/javascript,${encodeURIComponent(bundle)}`);

let tape, why, token, loads, options, loaded;
let rooms = Object.create(null);
const store = {};
const storage = { getItem: (key) => store[key] ?? null, setItem: (key, value) => { store[key] = value; } };

const getToken = async () => {
  if (token === null) throw new Error("there is none");
  return token === "never" ? new Promise(() => {}) : token;
};
const begin = () => {
  why = undefined;
  rooms = Object.create(null);
  tape = connect({
    stream: false, // the scenarios are of a WebSocket
    url: options.url, token: options.anonymous ? undefined : getToken, storage: options.storage ? storage : undefined,
    WebSocket: Chosen,
  });
  const mine = tape, tell = (line) => mine === tape && say(line);
  tape.on("state", (_, reason) => { why = reason; });
  tape.on("message", (m) => tell({ saw: { message: m } }));
  tape.on("gap", (g) => tell({ saw: { gap: g } }));
  tape.on("reset", (r) => tell({ saw: { reset: r } }));
  tape.on("load", (state) => tell({ saw: { load: state } }));
  tape.on("error", (e, room) => tell({ saw: { error: { code: e.code, room } } }));
};

const leave = () => {
  const old = tape;
  tape = undefined;
  old?.close();
  timers = [];
};

const commands = {
  settle() {},
  reset() { // another scenario
    leave();
    for (const key in store) delete store[key];
    sockets.length = now = 0;
    luck = 0.5;
  },
  connect(o) {
    options = o;
    token = "t1";
    begin();
  },
  page() { // another page load: nothing of the old client is left but what was stored
    fire("pagehide");
    const kept = { ...store };
    leave();
    Object.assign(store, kept); // closing saves too, and a page is not asked
    begin();
  },
  room({ name, load, slow, ...more }) {
    loads = load ?? loads;
    const asked = async () => {
      if (slow) await new Promise((done) => { loaded = done; });
      if (!loads.length) throw new Error("the database is away");
      return loads.length > 1 ? loads.shift() : loads[0];
    };
    rooms[name] = tape.room(name, load ? { ...more, load: asked } : more);
  },
  loaded: () => loaded(),
  leave(names) { for (const name of [names].flat()) (rooms[name] ?? find(name)).leave(); },
  call({ method, params, made }) {
    if (made === "endless") (params = {}).inside = params;
    else if (made) params = "x".repeat(made);
    const of = (what) => say({ saw: { call: { method, ...what } } });
    tape.call(method, params).then((result) => of({ result }), (e) => of({ code: e.code }));
  },
  close: () => tape.close(),
  token(t) { token = t; },
  random(x) { luck = x; },
  event(name) { fire(name); },
  async time(ms) {
    for (const end = now + ms; ;) {
      const next = timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) {
        now = end;
        return;
      }
      timers = timers.filter((t) => t !== next);
      now = Math.max(now, next.at);
      next.f();
      await settle();
    }
  },
  async sleep(ms) { // no timer runs meanwhile; those that are due run once it wakes
    now += ms;
    await commands.time(0);
  },
  async ended(n) {
    const most = Date.now() + 10_000; // only a fault lasts that long
    while (!sockets[n]?.ended) {
      if (Date.now() > most) throw new Error(`connection ${n} has not ended`);
      await turn();
    }
  },
  state: () => ({ is: tape.state, ...why, timers: timers.length }),
  rooms: (wildcard) => [...find(wildcard).rooms.keys()],
  last: (room) => Object.fromEntries([...find(room).last].map(([key, m]) => [key, m.data])),
  positions: (room) => find(room).positions,
};
const find = (name) => {
  for (const r of Object.values(rooms)) if (r.name === name || r.rooms.has(name)) return r.rooms.get(name) ?? r;
};

for await (const line of createInterface({ input: process.stdin })) {
  const [name, arg] = Object.entries(JSON.parse(line))[0];
  try {
    const answer = await commands[name](arg);
    await settle();
    say({ answer: answer ?? null, sockets: sockets.length });
  } catch (e) {
    say({ fault: String(e.stack), sockets: sockets.length });
  }
}
process.exit(0);
