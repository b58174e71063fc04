import type { NextPositions, Positions, RoomOptions } from "./api.js";
import { failure, waitOf } from "./emitter.js";
import { Link } from "./link.js";
import { covers } from "./place.js";
import { Member } from "./room.js";
import { Store } from "./store.js";
import type { Answer, Rooms, Since, SubscribeParams, UnsubscribeParams, WireError } from "./wire.js";

type Answered = (result: Rooms | undefined, error: WireError | undefined) => void;

/** How many rooms one request names, and how many requests are under way. */
const ROOMS = 100;
const REQUESTS = 8;
/** How many rooms of a wildcard are named with their positions. */
const NAMED = 1000;

/** Joins asks for rooms, loads their state and leaves them, a few requests at a time. */
export abstract class Joins extends Link {
  _members = new Map<string, Member>();
  /** Rooms that were left: until the answer, what comes of them belongs to the old membership. */
  _leaving = new Set<string>();
  /** Those of them that the gateway must be told of. */
  private _untold = new Set<string>();
  private _asking = 0;
  private _joins = 0; // requests to join, which are numbered
  private _planned = false;
  abstract _store: Store;

  abstract _answer(a: Answer, under?: Member): void;
  abstract _tell(event: string, m: Member, what: any, room?: string): void;
  abstract _saveSoon(): void;

  room(name: string, options?: RoomOptions): Member {
    let m = this._members.get(name);
    if (m?._wanted) return m;
    options ??= {};
    const { keys, maxRate, snapshot, load } = options;
    const like = JSON.stringify([keys, maxRate, snapshot, !load]); // may throw
    m ??= this._add(name);
    m._wanted = true;
    m._options = options;
    m._like = like;
    if (load) m._forget();
    for (const w of this._members.values()) w._without.delete(name);
    if (this._unlike(m)) this._unsubscribe(name);
    this._plan();
    return m;
  }

  _add(name: string, under?: Member): Member {
    const m = new Member(this, name), at = this._store._take(name);
    if (at && !under?._options.load) {
      m._at = at;
      m._had = true;
    }
    this._members.set(name, m);
    return m;
  }

  /** Forgets a room that only its wildcard had. */
  _remove(m: Member): void {
    if (m._wanted) return;
    this._members.delete(m.name);
    m._under?.rooms.delete(m.name);
  }

  /** Reports whether a wildcard that covers the room is joined with other wishes, which would hold. */
  _unlike(m: Member): boolean {
    for (const w of this._members.values()) {
      if (w._asked > 0 && w._covers(m.name) && (m._options.load || w._like !== m._like)) return true;
    }
    return false;
  }

  _leave(m: Member): void {
    if (this._members.get(m.name) !== m) return;
    this._quit(m);
    m._wanted = false;
    this._remove(m);
    for (const w of this._members.values()) if (w._covers(m.name)) w._without.add(m.name);
    for (const sub of m.rooms.values()) {
      sub._under = undefined;
      this._remove(sub);
    }
    this._saveSoon();
  }

  /** Leaves what the gateway has joined as m. */
  _quit(m: Member): void {
    if (m._asked > 0 || m._under?._asked! > 0) this._unsubscribe(m.name);
    m._asked = 0;
    m._own = false;
    this._lose(m);
  }

  /** The gateway leaves a wildcard, and rooms with it that were named after it. Those are joined again. */
  _lose(m: Member): void {
    for (const sub of m.rooms.values()) if (sub._wanted && !sub._own) sub._asked = 0;
    this._plan();
  }

  _unsubscribe(name: string): void {
    if (this.state !== "open" || this._leaving.has(name)) return;
    this._leaving.add(name);
    this._untold.add(name);
    this._plan();
  }

  _end(): void {
    this._leaving.clear();
    this._untold.clear();
    this._asking = 0;
    for (const m of this._members.values()) {
      m._asked = 0;
      m._own = m._filling = false;
    }
  }

  _begin(): void {
    this._plan();
  }

  /** Leaves and joins what is to be, after the application has named all of it. */
  _plan(): void {
    if (this._planned) return;
    this._planned = true;
    queueMicrotask(() => {
      this._planned = false;
      if (this.state === "open") this._join();
    });
  }

  /** Sends one of a few requests at a time. done is not called if the connection is lost before the answer. */
  private _ask(method: string, params: SubscribeParams | UnsubscribeParams, done: Answered): void {
    const turn = this._turn;
    this._asking++;
    this._request(method, params, (result, error) => {
      if (turn !== this._turn) return;
      this._asking--;
      done(result, error);
      this._plan();
    });
  }

  private _join(): void {
    while (this._untold.size && this._asking < REQUESTS) this._depart();
    const groups = new Map<string, Member[]>();
    for (const m of this._members.values()) {
      if (!m._wanted || m._asked || m._loading || this._blocked(m)) continue;
      if (m._options.load && !m._since()) {
        this._load(m);
        continue;
      }
      const like = m._wild || m._alone ? m.name : m._like, group = groups.get(like);
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

  /** Reports whether the room, or a wildcard that covers it or is covered, is being left. */
  private _blocked({ name }: Member): boolean {
    for (const left of this._leaving) {
      if (left === name || covers(left, name) || covers(name, left)) return true;
    }
    return false;
  }

  /** Tells the gateway of rooms that were left. They stay in _leaving until it has left them. */
  private _depart(): void {
    const rooms: string[] = [];
    let room = this._max / 2;
    for (const name of this._untold) {
      if (rooms.length === ROOMS || ((room -= name.length * 3) < 0 && rooms.length)) break;
      rooms.push(name);
      this._untold.delete(name);
    }
    this._ask("unsubscribe", { rooms }, (_, error) => {
      const wait = waitOf(error);
      if (!wait) for (const name of rooms) this._leaving.delete(name);
      else this._again(wait, () => {
        for (const name of rooms) this._untold.add(name);
        this._plan();
      });
    });
  }

  /** Takes rooms out of the group, as many as fit into one message with their positions. */
  private _subscribe(group: Member[]): void {
    const { keys, maxRate, snapshot, load } = group[0]._options;
    const asked: Member[] = [], since: Since = Object.create(null), id = ++this._joins;
    let room = this._max / 2 - JSON.stringify(keys ?? 0).length, named = 0;
    const fits = (name: string, at?: Positions | NextPositions): boolean => {
      room -= name.length * 2 + JSON.stringify(at ?? 0).length + 10;
      if (room < 0 && asked.length) return false;
      if (at) since[name] = at;
      return true;
    };
    const names = (name: string, at?: Positions | NextPositions): boolean => !at || (named++ < NAMED && fits(name, at));
    while (group.length && asked.length < ROOMS && fits(group[0].name, group[0]._since())) {
      const m = group.shift()!;
      m._asked = id;
      m._resumed = m.name in since;
      m._whole = m._brief < 2;
      asked.push(m);
      // The rooms of a wildcard may be further than it is.
      if (!m._wild || !m._resumed) continue;
      for (const sub of m._whole ? m.rooms.values() : []) {
        if (!sub._wanted && !names(sub.name, sub._since())) { m._whole = false; break; }
      }
      if (m._brief || load) continue;
      for (const name in this._store._left) {
        if (m._covers(name) && !this._members.has(name) && !names(name, this._store._left[name])) break;
      }
    }
    const rooms = asked.map((m) => m.name);
    const params: SubscribeParams = { rooms, since, keys, max_rate: maxRate, snapshot: load ? false : snapshot };
    this._ask("subscribe", params, (result, error) => this._answered(asked, id, named, result, error));
  }

  /** Takes the answer to a join. What it refuses for now is asked for again, all of it together. */
  private _answered(asked: Member[], id: number, named: number, result?: Rooms, error?: WireError): void {
    const refused = new Map<string, WireError>(), again: Member[] = [];
    for (const a of result?.rooms ?? []) {
      if (a.error && a.status !== "joined") refused.set(a.room, a.error);
      else this._answer(a);
    }
    let most = 0;
    for (const m of asked) {
      const e = error ?? refused.get(m.name), wait = waitOf(e);
      if (!e || m._asked !== id || this._members.get(m.name) !== m) continue;
      if (wait) {
        again.push(m);
        most = Math.max(most, wait);
      } else if (error && asked.length > 1) { // it may be the fault of one of them
        m._alone = true;
        m._asked = 0;
      } else if (error && named && m._brief < 2) { // a room with a pattern of its own is none of the wildcard's
        m._brief++;
        m._asked = 0;
      } else {
        m._asked = -1;
        this._tell("error", m, failure(e.code, e.message, e.data));
      }
    }
    if (!most) return;
    this._again(most, () => {
      for (const m of again) if (m._asked === id) m._asked = 0;
      this._plan();
    });
  }

  /** Asks the application for its state, again and again if that does not help. */
  private _load(m: Member): void {
    const n = m._loads++, current = () => this.state !== "closed" && this._members.get(m.name) === m;
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
    if (n) this._later(this._random() * Math.min(60, 2 ** n) * 1000, () => current() && load());
    else load();
  }

  /** The application's state is no longer whole: it is loaded again, for a wildcard with all of its rooms. */
  _reload(room: Member): void {
    const m = room._of;
    if (!m._options.load) return;
    m._forget();
    for (const sub of m.rooms.values()) if (!sub._wanted) sub._forget();
    this._quit(m);
  }
}
