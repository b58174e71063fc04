import type { Options, Positions } from "./api.js";
import { sound, type Member } from "./room.js";

/** How many rooms have their positions stored. */
const STORED = 1000;

/** Store keeps positions across page loads. Each may throw: the storage is full, or forbidden. */
export class Store {
  /** What an earlier page left, and this one has not asked for yet. */
  _left: Record<string, Positions> = Object.create(null);
  private _key: string;
  private _told = false;

  constructor(private _options: Options) {
    this._key = `tapecast:${_options.url}`;
  }

  _read(): void {
    const all = JSON.parse(this._options.storage?.getItem(this._key) ?? "{}");
    for (const name in all) if (sound(all[name])) this._left[name] = all[name];
  }

  /** Returns where the room stood, once. */
  _take(room: string): Positions | undefined {
    const at = this._left[room];
    delete this._left[room];
    return at;
  }

  /**
   * Rooms with a snapshot begin with it on each page, and those with `load` with that. What matters most is
   * first: wildcards and rooms that are named, then rooms of wildcards, then what this page has not asked for.
   * Throws, once, if there are more than can be stored.
   */
  _write(members: Iterable<Member>): void {
    const ranks: [string, Positions][][] = [[], [], []];
    for (const m of members) {
      if (!m._at.epoch || m._keyed || m._of._options.load) continue;
      ranks[m._wild ? 0 : m._wanted ? 1 : 2].push([m.name, m._at]);
    }
    const all = ranks.flat(), more = all.length - STORED;
    all.push(...Object.entries(this._left));
    this._options.storage!.setItem(this._key, JSON.stringify(Object.fromEntries(all.slice(0, STORED))));
    if (more <= 0 || this._told) return;
    this._told = true;
    throw new Error(`those of ${more} rooms are too many: ${STORED} rooms are stored`);
  }
}
