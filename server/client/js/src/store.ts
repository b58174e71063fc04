import type { Options, Positions } from "./api.js";
import { sound, type Member } from "./room.js";

/** How many rooms have their positions stored. */
const STORED = 1000;

/** Store keeps positions across page loads. Each may throw: the storage is full, or forbidden. */
export class Store {
  /** What an earlier page left, and this one has not asked for yet. */
  _left: Record<string, Positions> = {};
  private _key: string;

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

  /** Rooms with a snapshot begin with it on each page, and those with `load` with that. */
  _write(members: Iterable<Member>): void {
    const all = { ...this._left };
    for (const m of members) {
      if (m._at.epoch && !m._keyed && !m._of._options.load) all[m.name] = m._at;
    }
    const text = JSON.stringify(Object.fromEntries(Object.entries(all).slice(-STORED)));
    this._options.storage!.setItem(this._key, text);
  }
}
