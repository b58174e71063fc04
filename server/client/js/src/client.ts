import type { Joined, Message, Options, Positions, RoomOptions, Tape } from "./api.js";
import { failure } from "./emitter.js";
import { Link } from "./link.js";
import { Member } from "./room.js";
import { Store } from "./store.js";

export * from "./api.js";

/** How many rooms one request names, and how many requests are under way. */
const ROOMS = 100;
const REQUESTS = 8;
/** How many rooms of a wildcard are named with their positions. */
const NAMED = 1000;

const offsetOf = (pos: string, colon: number): number => +pos.slice(colon + 1);

class Client extends Link {
  private _members = new Map<string, Member>();
  /** Rooms that were left: what comes before the answer belongs to the old membership. */
  private _leaving = new Map<string, number>();
  private _asking = 0;
  private _planned = false;
  private _saver?: any;
  private _store: Store;

  constructor(options: Options) {
    super(options);
    this._store = new Store(options);
    this._storing(() => this._store._read());
  }

  room(name: string, options?: RoomOptions): Member {
    let m = this._members.get(name);
    if (m?._wanted) return m;
    if (!m) {
      m = this._add(name);
      for (const room in this._store._left) if (m._covers(room) && !this._members.has(room)) this._add(room, m);
    }
    m._wanted = true;
    m._options = options ?? {};
    if (m._options.load) m._at = {};
    this._plan();
    return m;
  }

  private _add(name: string, under?: Member): Member {
    const m = new Member(this, name), at = this._store._take(name);
    if (at) {
      m._at = at;
      m._had = true;
    }
    if (under) {
      m._under = under;
      under.rooms.set(name, m);
    }
    this._members.set(name, m);
    return m;
  }

  _leave(m: Member): void {
    if (this._members.get(m.name) !== m || !m._wanted) return;
    m._wanted = false;
    this._members.delete(m.name);
    m._under?.rooms.delete(m.name);
    for (const [name, sub] of m.rooms as Map<string, Member>) {
      if (sub._wanted) sub._under = undefined;
      else this._members.delete(name);
    }
    if (m._asked) this._unsubscribe(m.name);
    this._saveSoon();
  }

  /** Until the answer, what comes of the room is dropped. */
  private _unsubscribe(name: string): void {
    if (this.state !== "open") return;
    const n = this._leaving, turn = this._turn;
    n.set(name, (n.get(name) ?? 0) + 1);
    this._request("unsubscribe", { rooms: [name] }, (_, error) => {
      if (turn !== this._turn) return;
      const left = n.get(name)! - 1, wait = error?.data?.retryAfter;
      if (wait) this._later(wait, () => this._unsubscribe(name));
      if (left) n.set(name, left);
      else n.delete(name);
      this._plan();
    });
  }

  /** Calls f on this connection, after a wait that the gateway asked for. */
  private _later(wait: number, f: () => void): void {
    const turn = this._turn;
    setTimeout(() => turn === this._turn && f(), wait * (1 + this._random()));
  }

  _begin(): void {
    this._plan();
  }

  _end(): void {
    this._leaving.clear();
    this._asking = 0;
    for (const m of this._members.values()) {
      m._asked = m._filling = false;
    }
  }

  /** Joins what is to be joined, after the application has named all of it. */
  private _plan(): void {
    if (this._planned) return;
    this._planned = true;
    queueMicrotask(() => {
      this._planned = false;
      if (this.state === "open") this._join();
    });
  }

  private _join(): void {
    const groups = new Map<string, Member[]>();
    for (const m of this._members.values()) {
      if (!m._wanted || m._asked || m._loading || this._leaving.has(m.name)) continue;
      if (m._options.load && !m._since()) {
        this._load(m);
        continue;
      }
      const { keys, maxRate, snapshot, load } = m._options;
      const like = m._wild ? m.name : JSON.stringify([keys, maxRate, snapshot, !load]);
      const group = groups.get(like);
      if (group) group.push(m);
      else groups.set(like, [m]);
    }
    // A room that is named too is joined by its name, with its own options, before its wildcard is.
    for (const wild of [false, true]) {
      for (const group of groups.values()) {
        while (group[0]?._wild === wild && this._asking < REQUESTS) this._subscribe(group);
      }
    }
  }

  /** Takes rooms out of the group, as many as fit into one message with their positions. */
  private _subscribe(group: Member[]): void {
    const { keys, maxRate, snapshot, load } = group[0]._options;
    const asked: Member[] = [], since: Record<string, unknown> = {};
    let room = this._max / 2 - JSON.stringify(keys ?? 0).length;
    const fits = (m: Member): boolean => {
      const at = m._since();
      room -= m.name.length * 2 + JSON.stringify(at ?? 0).length + 10;
      if (room < 0 && asked.length) return false;
      if (at) since[m.name] = at;
      return true;
    };
    while (group.length && asked.length < ROOMS && fits(group[0])) {
      const m = group.shift()!;
      m._asked = true;
      m._resumed = m.name in since;
      asked.push(m);
      // The rooms of a wildcard may be further than it is.
      if (!m._resumed) continue;
      let n = 0;
      for (const sub of m.rooms.values()) {
        if (!sub._wanted && sub._since() && (n++ === NAMED || !fits(sub))) break;
      }
    }
    const rooms = asked.map((m) => m.name);
    const params = { rooms, since, keys, max_rate: maxRate, snapshot: load ? false : snapshot };
    const turn = this._turn;
    this._asking++;
    this._request("subscribe", params, (result, error) => {
      if (turn !== this._turn) return;
      this._asking--;
      for (const m of asked) if (error) this._refused(m, error);
      result?.rooms?.forEach((a: any) => this._answer(a));
      this._plan();
    });
  }

  private _refused(m: Member, error: any): void {
    const wait = error.data?.retryAfter;
    if (this._members.get(m.name) !== m) return;
    if (wait) this._later(wait, () => { m._asked = false; this._plan(); });
    else this._tell("error", m, failure(error.code, error.message, error.data));
  }

  /** Takes the answer about one room, or what a wildcard says of one of its rooms. */
  private _answer(a: any, under?: Member): void {
    let m = this._members.get(a.room);
    if (this._leaving.has(a.room)) return;
    if (!m && under) m = this._add(a.room, under);
    if (!m) return;
    if (under && !m._under) {
      m._under = under;
      under.rooms.set(m.name, m);
    }
    if (a.error && a.status !== "joined") return this._refused(m._wanted ? m : (under ?? m), a.error);
    m._chain = !!a.chain;
    const before = { ...m._at }, blind = !under && m._had && !m._resumed && a.positions?.epoch;
    this._raise(m, a.positions);
    m._had = true;
    m._from = undefined;
    if (!under) this._tell("joined", m, a as Joined);
    if (blind && !a.already) this._gap(m, { from: before, to: a.positions }, "unknown");
    a.rooms?.forEach((sub: any) => this._answer(sub, m));
  }

  /** Asks the application for its state, again and again if that does not help. */
  private _load(m: Member): void {
    const n = m._loads++, current = () => this._members.get(m.name) === m;
    m._loading = true;
    const load = () => Promise.resolve().then(m._options.load).then((got) => {
      if (!current()) return;
      m._take(got!.positions);
      this._tell("load", m, got!.state);
    }).catch((e) => {
      if (current()) this._tell("error", m, failure(0, `cannot load: ${e?.message ?? e}`));
    }).then(() => {
      m._loading = false;
      this._plan();
    });
    if (n) setTimeout(() => current() && load(), this._random() * Math.min(60, 2 ** n) * 1000);
    else load();
  }

  /** The application's state is no longer whole: it is loaded again. */
  private _reload(m: Member): void {
    if (!m._options.load) return;
    m._at = {};
    m._from = undefined;
    if (m._asked) this._unsubscribe(m.name);
    m._asked = m._had = false;
    this._plan();
  }

  private _raise(m: Member, to: any): void {
    if (m._raise(to)) this._reset(m, m._at);
  }

  private _reset(m: Member, at: Positions): void {
    m._at = at;
    m._filling = false;
    m.last.clear();
    this._tell("reset", m, { room: m.name, epoch: at.epoch });
    this._reload(m);
  }

  private _gap(m: Member, g: any, cause: string): void {
    this._tell("gap", m, { room: m.name, from: g.from, to: g.to, cause });
    this._reload(m);
  }

  /** Tells the room, its wildcard and the tape. */
  private _tell(event: string, m: Member, what: any): void {
    const one = m._emit(event, what, m.name), two = m._under?._emit(event, what, m.name);
    if (event === "error") {
      if (!one && !two) this._fail(what, m.name);
      else this._emit(event, what, m.name);
    } else this._emit(event, what);
  }

  _message(m: Message): void {
    const member = this._members.get(m.room);
    if (!member || (this._leaving.size && this._leaving.has(m.room))) return;
    const { pos, prev } = m;
    if (pos) {
      const colon = pos.indexOf(":"), p = pos.slice(0, colon), off = offsetOf(pos, colon);
      const had = member._at[p] as number | undefined;
      if (had !== undefined) {
        if (off <= had) return;
        if (prev && member._chain && offsetOf(prev, prev.indexOf(":")) > had && !this._mend(member, p, prev)) return;
      }
      member._at[p] = off;
    }
    member._loads = 0;
    member._keep(m);
    this._saveSoon();
    this._tell("message", member, m);
  }

  /** A message is missing. The room resumes on another connection; if it is missing there too, that is a gap. */
  private _mend(m: Member, p: string, prev: string): boolean {
    const place = `${m._at.epoch} ${p}:${m._at[p]}`;
    if (m._broken !== place) {
      m._broken = place;
      this._lost(1006, `a message of ${m.name} is missing before ${prev}`);
      return false;
    }
    const from = { ...m._at };
    this._gap(m, { from, to: { ...from, [p]: offsetOf(prev, prev.indexOf(":")) } }, "chain");
    return !m._options.load; // otherwise it is loaded again
  }

  _notice(method: string, params: any): void {
    const m = this._leaving.has(params.room) ? undefined : this._members.get(params.room);
    if (method === "positions") {
      for (const name in params) {
        const to = this._members.get(name);
        if (to && !this._leaving.has(name)) this._raise(to, params[name]);
      }
    } else if (method === "joined") {
      const under = this._members.get(params.pattern);
      if (under && !this._leaving.has(params.pattern)) this._answer(params, under);
    } else if (method === "left") {
      for (const { room } of params.rooms ?? []) {
        const left = this._members.get(room);
        if (left) this._tell("error", left, failure(params.code, params.message));
      }
    } else if (method === "limit") {
      const full = this._members.get(params.pattern);
      if (full) this._tell("error", full, failure(-32009, `it joins no more rooms, such as ${params.room}`, params));
    } else if (!m) return;
    else if (method === "gap") {
      this._raise(m, params.to);
      this._gap(m, params, "server");
    } else if (method === "reset") {
      const { epoch } = params;
      for (const w of this._members.values()) if (w._covers(m.name)) w._at = { epoch };
      if (m._at.epoch !== epoch) this._reset(m, { epoch });
    } else if (method === "snapshot_begin") {
      m._at = {};
      m._filling = m._keyed = true;
      if (m._under) m._under._keyed = true;
      m.last.clear();
    } else if (method === "snapshot_end") {
      m._filling = false;
      this._raise(m, params.positions);
    }
    this._saveSoon();
  }

  private _saveSoon(): void {
    if (this._options.storage && !this._saver) this._saver = setTimeout(() => this._save(), 1000);
  }

  _save(): void {
    if (!this._options.storage) return;
    clearTimeout(this._saver);
    this._saver = undefined;
    this._storing(() => this._store._write(this._members.values()));
  }

  private _storing(f: () => void): void {
    try {
      f();
    } catch (e: any) { // full, forbidden, or not ours
      this._fail(failure(0, `cannot store positions: ${e?.message ?? e}`));
    }
  }
}

/** Connects to a gateway, and keeps connected until `close` or a final refusal. */
export function connect(options: Options): Tape {
  return new Client(options);
}
