// Takes runs of messages as fast as it can, and says how long each run took. A line on stdin names the run: how it is
// taken (by the client; or over a bare socket, parsed or not), from where, and how many messages it has.
import { createInterface } from "node:readline";

const [, , bundle, url, token] = process.argv;
const { connect } = await import(bundle);
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const keys = Array.from({ length: 50 }, (_, i) => `k${i}`); // the client keeps the last value of each
const tape = connect({ url, token });
const gaps = [];
tape.on("gap", (g) => gaps.push(g));
tape.on("error", (e) => gaps.push(e.message));

// run counts messages, and says what they took once all are there.
const run = ({ mode, since, count }, end) => {
  let n = 0, wrong = 0, next = since["0"] + 1, began, cpu;
  return (m) => {
    if (m && m.data.i !== next++) wrong++;
    if (++n === 1) {
      began = performance.now();
      cpu = process.cpuUsage();
    }
    if (n !== count) return;
    const ms = performance.now() - began, { user, system } = process.cpuUsage(cpu), last = end();
    globalThis.gc();
    say({ mode, ms, cpu: (user + system) / 1000, wrong, gaps, last, heap: process.memoryUsage().heapUsed });
  };
};

const takes = {
  client(order) {
    const room = tape.room("pace", { keys, load: async () => ({ positions: order.since }) });
    room.on("message", run(order, () => {
      room.leave();
      return room.last.size;
    }));
  },
  bare(order) {
    const ws = new WebSocket(`${url}?token=${token}`, "tapecast.v1"), got = run(order, () => {
      ws.close();
      return 0;
    });
    const params = { rooms: ["pace"], keys, since: { pace: order.since }, snapshot: false };
    ws.onopen = () => ws.send(JSON.stringify({ id: 1, method: "subscribe", params }));
    ws.onmessage = ({ data }) => {
      if (order.mode === "parsed") {
        const m = JSON.parse(data);
        if (m.room) got(m);
      } else if (data.startsWith('{"room"')) got();
    };
  },
};

const room = tape.room("pace");
room.on("joined", ({ positions }) => {
  room.leave();
  say({ at: positions });
});
createInterface({ input: process.stdin }).on("line", (line) => {
  const order = JSON.parse(line);
  (order.mode === "client" ? takes.client : takes.bare)(order);
}).on("close", () => process.exit());
