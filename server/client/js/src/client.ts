import type { Joined, Message, Options, Positions, Tape } from "./api.js";
import { failure } from "./emitter.js";
import { Joins } from "./joins.js";
import type { Member } from "./room.js";
import { Store } from "./store.js";
import type { Answer, GapNotice, LeftNotice, LimitNotice, ResetNotice, SnapshotEnd } from "./wire.js";

export * from "./api.js";

/** What is read of a notice, whichever it is. The one of positions has rooms by their names. */
type Notice = Partial<Answer & GapNotice & ResetNotice & SnapshotEnd & LeftNotice & LimitNotice>;

const offsetOf = (pos: string, colon: number): number => +pos.slice(colon + 1);

class Client extends Joins {
  private _saver?: any;
  _store: Store;

  constructor(options: Options) {
    super(options);
    this._store = new Store(options);
    this._storing(() => this._store._read());
  }

  /** Takes the answer about one room, or what a wildcard says of one of its rooms. */
  _answer(a: Answer, under?: Member): void {
    let m = this._members.get(a.room);
    if (this._leaving.has(a.room)) return;
    if (under && !m?._wanted) {
      if (under._without.has(a.room)) return this._unsubscribe(a.room);
      if (a.error && a.status !== "joined") { // it stays out until it is joined by name
        if (m) this._remove(m);
        return this._tell("error", under, failure(a.error.code, a.error.message, a.error.data), a.room);
      }
      m ??= this._add(a.room, under);
    }
    if (!m) return;
    if (under) {
      m._under = under;
      under.rooms.set(m.name, m);
      if (a.error && a.status !== "joined") return; // as it was named it has an answer of its own
    } else if (a.already && !m._own && this._unlike(m)) { // its wildcard was faster
      if (m._options.load) m._forget();
      return this._quit(m);
    }
    m._own ||= !under && !a.already;
    m._chain = !!a.chain;
    const before = { ...m._at }, blind = !under && m._had && !m._resumed && a.positions?.epoch;
    m._had = true;
    // Else a gap follows, which tells of it and raises the positions: the connection may end before it.
    if (a.recovered !== false) {
      this._raise(m, a.positions);
      m._from = undefined;
    }
    if (!under) this._tell("joined", m, a as Joined);
    if (blind && !a.already) this._gap(m, { from: before, to: a.positions }, "unknown");
    const listed = new Set<string>();
    for (const sub of a.rooms ?? []) {
      listed.add(sub.room);
      this._answer(sub, m);
    }
    // One that was named with its position and is not listed is there no more.
    if (a.rooms && m._whole) for (const sub of m.rooms.values()) if (!listed.has(sub.name)) this._remove(sub);
  }

  private _raise(m: Member, to?: Positions): void {
    if (m._raise(to)) this._reset(m, m._at);
  }

  private _reset(m: Member, at: Positions): void {
    m._at = at;
    m._filling = false;
    m.last.clear();
    this._tell("reset", m, { room: m.name, epoch: at.epoch });
    this._reload(m);
  }

  private _gap(m: Member, g: { from?: Positions; to?: Positions }, cause: string): void {
    this._tell("gap", m, { room: m.name, from: g.from, to: g.to, cause });
    this._reload(m);
  }

  /** Tells the room, its wildcard and the tape. */
  _tell(event: string, m: Member, what: any, room = m.name): void {
    const one = m._emit(event, what, room), two = m._under?._emit(event, what, room);
    if (event === "error") {
      if (!one && !two) this._fail(what, room);
      else this._emit(event, what, room);
    } else this._emit(event, what);
  }

  /** Reports whether the room, or the wildcard that it belongs to, is being left. */
  private _gone(m: Member): boolean {
    return this._leaving.has(m.name) || this._leaving.has(m._of.name);
  }

  _message(m: Message): void {
    const member = this._members.get(m.room);
    if (!member || (this._leaving.size && this._gone(member))) return;
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
    member._of._loads = 0;
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
    return !m._of._options.load; // otherwise it is loaded again
  }

  _notice(method: string, params: Notice): void {
    const get = (name?: string) => {
      const m = this._members.get(name!);
      return m && !this._gone(m) ? m : undefined;
    };
    const m = get(params.room), wild = get(params.pattern);
    if (method === "positions") {
      for (const name in params) {
        const to = get(name);
        if (to) this._raise(to, (params as Record<string, Positions>)[name]);
      }
    } else if (method === "joined") {
      if (wild) this._answer(params as Answer, wild);
    } else if (method === "left") {
      for (const { room } of params.rooms ?? []) {
        const left = get(room);
        if (!left) continue;
        this._tell("error", left, failure(params.code!, params.message!));
        left._asked = -1;
        left._own = false;
        this._lose(left);
        this._remove(left);
        for (const sub of left.rooms.values()) this._remove(sub);
      }
    } else if (method === "limit") {
      if (wild) this._tell("error", wild, failure(-32009, `it joins no more rooms, such as ${params.room}`, params));
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

  _saveSoon(): void {
    if (!this._options.storage || this._saver || this.state === "closed") return;
    this._saver = setTimeout(() => this._save(), 1000);
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
