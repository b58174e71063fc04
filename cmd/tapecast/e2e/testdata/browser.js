// Runs one of the clients of server/web/docs/client.md and reports to the test everything that it hears. The test puts
// the clients before this, and `run`, which says what to connect to.
{
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  const real = setTimeout;
  // A minute of silence is too long for a test.
  globalThis.setTimeout = (f, ms, ...args) => real(f, ms === 60000 ? run.silence : ms, ...args);

  let told = [];
  const tell = (what) => told.push(what);
  const yours = {
    async token() {
      const r = await fetch(`${run.site}/token?user=${run.user}`);
      if (!r.ok) throw new Error(`no token: ${r.status}`);
      return r.text();
    },
    message: (m) => tell({ message: m }),
    notice: (method, params) => tell({ method, params }),
    failed: (error, room) => tell({ error, room }),
  };
  const client = run.roams ? roaming(run.socket, yours) : tapecast(run.socket, run.rooms, yours);
  if (run.roams) client.join(run.rooms);

  // report sends what was heard. The answer says what to do: roam, stay or end.
  const report = async () => {
    const some = told;
    told = [];
    const r = await fetch(`${run.site}/report?user=${run.user}`, { method: "POST", body: JSON.stringify(some) });
    return r.text();
  };
  // roam leaves the room and joins it again.
  let away = false;
  const roam = async (room) => {
    away = true;
    client.leave([room]);
    await pause(100 * Math.random());
    client.join([room]);
    await pause(500 * Math.random());
    away = false;
  };
  (async () => {
    for (let what; what !== "end"; await pause(50)) {
      what = await report();
      if (what === "roam" && run.roams && !away) roam(run.roams);
    }
    client.close();
    if (typeof process !== "undefined") process.exit(0);
  })();
}
