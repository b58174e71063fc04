// Joins rooms with the gateway's own /client.js, and writes down all that it sees, a line each.
const [, , site, url, token, ...names] = process.argv;
const bundle = await (await fetch(`${site}/client.js`)).text();
const { connect } = await import(`data:text/javascript,${encodeURIComponent(bundle)}`);

const say = (line) => console.log(JSON.stringify(line));
const tape = connect({ url, token: async () => token });
for (const name of names) tape.room(name);
tape.on("joined", (j) => say({ joined: j.room }));
tape.on("message", (m) => say({ room: m.room, pos: m.pos, n: m.data.n }));
tape.on("gap", (g) => say({ fault: ["gap", g] }));
tape.on("reset", (r) => say({ fault: ["reset", r] }));
tape.on("error", (e, room) => say({ fault: [e.message, room] }));
