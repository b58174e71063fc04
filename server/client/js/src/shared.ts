import { connect as own, type Options, type Positions, type RoomOptions, type StateName, type Tape } from "./client.js";
import { CALLS, Emitter, failure, tooMany } from "./emitter.js";
import { ACK, Hub } from "./hub.js";
import { covers, Place } from "./place.js";

export * from "./api.js";

/** How long a worker may take for its first word. */
const START = 5000;

/** What `connect` takes besides. */
export interface SharedOptions extends Options {
  /**
   * Pages that give the same name and url share a connection. Name the user: what one page gets, all may get.
   * A page that has a token and gives no name has a connection alone.
   */
  name?: string;
  /** A script of the page's own origin that is this module, or imports it. None: the page has a connection alone. */
  worker?: string | URL;
}

const events = ["message", "gap", "reset", "joined", "load", "error"] as const;

/** Seat is a membership of a page. Those with the same _line are on one connection. */
class Seat extends Place {
  _id = 0;
  _line = 0;
}

/** Page is what a page has of the connection: its own rooms and calls. */
class Page extends Emitter {
  state: StateName = "idle";
  private _port!: MessagePort;
  private _rooms = new Map<number, Seat>();
  private _names = new Map<string, Seat>();
  private _wilds = new Set<Seat>();
  private _calls = new Map<number, [string, unknown, (result: any) => void, (e: any) => void]>();
  private _id = 0;
  private _read = 0;
  private _local = false; // it has a connection of its own
  private _lock = "";
  private _release?: (_: unknown) => void;
  private _own?: Tape;
  private _timer: any;

  constructor(private _options: SharedOptions) {
    super();
    const locks = globalThis.navigator?.locks, name = `tapecast:${Math.random()}${performance.now()}`;
    if (!locks) { // without them a worker does not see that a page has ended
      queueMicrotask(() => this._alone());
    } else {
      locks.request(name, () => {
        this._lock = name;
        if (this.state === "closed") return;
        this._start();
        return new Promise((done) => { this._release = done; });
      });
    }
  }

  private _start(): void {
    const { name, url, worker, token } = this._options;
    try {
      if (!worker || (token && name === undefined)) throw 0; // the users of two pages may be two
      const w = new SharedWorker(worker, { type: "module", name: `tapecast ${name ?? ""} ${url} ${!!token}` });
      w.onerror = () => this._alone();
      this._timer = setTimeout(() => this._alone(), START);
      this._attach(w.port);
    } catch { // there is no such worker, or its script is of another origin
      this._alone();
    }
  }

  /** The page has a connection of its own. */
  private _alone(): void {
    clearTimeout(this._timer);
    if (this.state === "closed" || this._local) return;
    this._post("close"); // to a worker that starts late
    this._local = true;
    const { port1, port2 } = new MessageChannel();
    new Hub()._enter(port2, this._options.WebSocket);
    this._attach(port1);
  }

  private _attach(port: MessagePort): void {
    this._port = port;
    port.onmessage = ({ data }) => port === this._port && this._hear(data);
    this._read = 0;
    port.postMessage(["hello", this._options.url, !!this._options.token, this._lock]);
    for (const [id, m] of this._rooms) port.postMessage(["room", id, m.name, m._options]);
    for (const [id, [method, params]] of this._calls) port.postMessage(["call", id, method, params]);
  }

  private _hear([verb, a, b, c]: any[]): void {
    clearTimeout(this._timer);
    if (typeof verb === "number" || verb === "notice") {
      if (++this._read === ACK) {
        this._read = 0;
        this._post("read", ACK);
      }
    }
    if (verb === "state") this._set(a, b);
    else if (verb === "token") this._token(a);
    else if (verb === "other") this._alone();
    else if (verb === "line") {
      const m = this._rooms.get(a);
      if (m) m._line = b;
    } else if (verb === "notice") this._notice(a, b, c);
    else if (verb === "error") this._fail(failure(a.code, a.message, a.data));
    else if (verb === "call") {
      const [, , done, fail] = this._calls.get(a) ?? [];
      this._calls.delete(a);
      if (c) fail?.(failure(c.code, c.message, c.data));
      else done?.(b);
    } else if (this._rooms.has(verb)) this._take(this._rooms.get(verb)!, a, b, c);
  }

  private _post(...word: unknown[]): void {
    this._port?.postMessage(word);
  }

  private _set(state: StateName, why?: any): void {
    if (this.state === "closed" || (state === this.state && !why)) return;
    this.state = state;
    this._emit("state", state, why);
    if (state === "closed") this._end();
  }

  private _fail(e: any, room?: string): void {
    if (!this._emit("error", e, room)) console.error("tapecast:", room ?? "", e.code, e.message);
  }

  private async _token(id: number): Promise<void> {
    const { token } = this._options;
    try {
      this._post("token", id, await (typeof token === "function" ? token() : token));
    } catch (e: any) {
      this._post("token", id, undefined, String(e?.message ?? e));
    }
  }

  /** A room of a wildcard, or the room itself. */
  private _sub(m: Place, name: string): Place {
    if (name === m.name) return m;
    let sub = m.rooms.get(name);
    if (!sub) {
      m.rooms.set(name, (sub = new Place(this, name)));
      sub._under = m;
    }
    return sub;
  }

  /**
   * Reports whether the page's own handlers have what this membership hears of a room. Of several that cover
   * it the first has, unless it was refused: the connections are not equally fast.
   */
  private _speaks(room: string, id = Infinity): boolean {
    for (const m of [this._names.get(room), ...this._wilds]) {
      if (m && m._id < id && m._asked >= 0 && (m.name === room || m._covers(room))) return false;
    }
    return true;
  }

  private _take(m: Seat, event: string, what: any, more: any): void {
    const name = event === "error" ? more : what.room;
    if (m._without.has(name)) return;
    const room = event === "error" ? m : this._sub(m, name);
    if (event === "message") {
      const { key, pos } = what, colon = pos?.indexOf(":");
      if (key !== undefined && what.data === null) room.last.delete(key);
      else if (more) room.last.set(key, what);
      if (pos) room._at[pos.slice(0, colon)] = +pos.slice(colon + 1);
    } else if (event === "gap") room._raise(what.to);
    else if (event === "reset") {
      room._at = { epoch: what.epoch };
      room.last.clear();
    } else if (event === "joined") {
      room._asked = 0;
      room._raise(what.positions);
      for (const sub of what.rooms ?? []) if (!sub.error || sub.status === "joined") this._joined(m, sub);
    } else {
      if (name === m.name && what.code !== -32009) m._asked = -1; // a wildcard that is full goes on
      what = failure(what.code, what.message, what.data);
    }
    const told = room._emit(event, what, name), under = room !== m && m._emit(event, what, name);
    if (event !== "error") {
      if (event === "joined" || this._speaks(name, m._id)) this._emit(event, what);
    } else if (told || under) this._emit(event, what, name);
    else this._fail(what, name);
  }

  private _joined(m: Place, { room, positions }: { room: string; positions?: Positions }): void {
    if (!m._without.has(room)) this._sub(m, room)._raise(positions);
  }

  private _notice(method: string, params: any, line: number): void {
    for (const m of this._names.values()) {
      if (m._line !== line) continue; // another connection's last values and positions are its own
      if (method === "positions") for (const r of [m, ...m.rooms.values()]) r._raise(params[r.name]);
      if (method === "joined" && params.pattern === m.name) this._joined(m, params);
      const { room } = params ?? {};
      if (!/^snapshot/.test(method) || m._without.has(room) || (m.name !== room && !covers(m.name, room))) continue;
      if (method === "snapshot_begin") this._sub(m, room).last.clear();
      else this._joined(m, params);
    }
    this._emit("notice", method, params);
  }

  room(name: string, options?: RoomOptions): any {
    let m = this._names.get(name);
    if (m) return m;
    const { keys, maxRate, snapshot, load } = options ?? {};
    if (load) return this._alike().room(name, options); // what one page loads is not another's
    m = new Seat(this, name);
    m._options = { keys, maxRate, snapshot };
    this._names.set(name, m);
    const id = (m._id = ++this._id);
    this._rooms.set(id, m);
    if (m._wild) this._wilds.add(m);
    this._post("room", id, name, m._options);
    return m;
  }

  /** A connection of the page's own. */
  private _alike(): Tape {
    if (this._own) return this._own;
    const tape = (this._own = own(this._options));
    for (const event of events) {
      tape.on(event, (a: any, b?: any) => {
        if (event === "error") this._fail(a, b);
        else if (event === "joined" || event === "load" || this._speaks(a.room)) this._emit(event, a);
      });
    }
    return tape;
  }

  _leave(m: Seat): void {
    const id = m._id; // none: it is a wildcard's
    m._under?._without.add(m.name);
    m._under?.rooms.delete(m.name);
    if (!this._rooms.delete(id)) return;
    this._names.delete(m.name);
    this._wilds.delete(m);
    this._post("leave", id);
  }

  call(method: string, params?: unknown): Promise<any> {
    return new Promise((done, fail) => {
      if (this.state === "closed") throw failure(1006, "the client is closed");
      if (this._calls.size >= CALLS) throw tooMany();
      const id = ++this._id;
      this._post("call", id, method, params); // throws what cannot be cloned
      this._calls.set(id, [method, params, done, fail]);
    });
  }

  close(): void {
    if (this.state !== "closed") this._set("closed", { code: 1000, reason: "" });
  }

  private _end(): void {
    clearTimeout(this._timer);
    this._post("close");
    this._release?.(0);
    this._own?.close();
    for (const [, , , fail] of this._calls.values()) fail(failure(1006, "the client is closed"));
    this._calls.clear();
  }
}

/** Connects to a gateway, on one connection with all pages of the origin that do. */
export function connect(options: SharedOptions): Tape {
  return new Page(options);
}

const scope = globalThis as any;
if ("onconnect" in scope) {
  const hub = new Hub();
  scope.onconnect = (e: any) => hub._enter(e.ports[0]);
}
