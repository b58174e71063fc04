// Many clients of the bundle in one program. Each is an application that takes trades: the next offset of a
// partition and no other. Commands come as lines of JSON, and what is seen goes the same way.
import { createInterface } from "node:readline";

const { connect } = await import(process.argv[2]);
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const clients = [];
let faults = 0, joined = 0, opens = 0;

const begin = ({ url, token, partitions }) => {
  const n = clients.length, at = Array(partitions).fill(-1), sums = Array(partitions).fill(0);
  const fault = (what) => faults++ < 10 && say({ fault: `client ${n}, which is at ${at}: ${what}` });
  const tape = connect({ url, token }), room = tape.room("trades");
  let first = true;
  clients.push({ tape, at, sums });
  tape.on("state", (state) => { if (state === "open") opens++; });
  tape.on("error", (e, room) => fault(`error ${e.code} of ${room}: ${e.message}`));
  for (const event of ["gap", "reset"]) room.on(event, (what) => fault(`${event} ${JSON.stringify(what)}`));
  room.on("joined", () => {
    if (first) say({ joined: ++joined });
    first = false;
  });
  room.on("message", ({ pos, data }) => {
    const [p, offset] = pos.split(":").map(Number);
    if (offset !== at[p] + 1) fault(`message ${pos}`);
    at[p] = offset;
    sums[p] = (Math.imul(sums[p], 31) + data.t) | 0;
  });
};

const whole = (ends, sums) => {
  const timer = setInterval(() => {
    if (clients.some(({ at }) => ends.some((end, p) => at[p] < end))) return;
    clearInterval(timer);
    const equal = clients.filter((c) => `${c.at}/${c.sums}` === `${ends}/${sums}`).length;
    say({ done: true, whole: equal, opens });
    for (const { tape } of clients) tape.close();
  }, 50);
};

createInterface({ input: process.stdin }).on("line", (line) => {
  const { begins, ends, sums } = JSON.parse(line);
  begins?.forEach(begin);
  if (ends) whole(ends, sums);
}).on("close", () => process.exit());
