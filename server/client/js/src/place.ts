import type { Message, Positions, RoomOptions } from "./api.js";
import { Emitter } from "./emitter.js";

/** Reports whether the first name is a wildcard with the prefix of the second. */
export const covers = (wild: string, name: string): boolean =>
  wild.endsWith("*") && name.startsWith(wild.slice(0, -1));

/** Place is what every client knows of one room, or of one wildcard. */
export class Place extends Emitter {
  last = new Map<string, Message>();
  rooms = new Map<string, Place>();
  _at: Positions = {};
  _options: RoomOptions = {};
  /** Which request of this connection joins it. 0: none yet. Below 0: it must not be asked for. */
  _asked = 0;
  /** Rooms that a wildcard must not have, since they were left. */
  _without = new Set<string>();
  /** It is between snapshot_begin and snapshot_end, where it has no position. */
  _filling = false;
  /** The wildcard that joined it. */
  _under?: Place;

  constructor(public _client: { _leave(m: any): void }, public name: string) {
    super();
  }

  get positions(): Positions {
    return { ...this._at };
  }

  leave(): void {
    this._client._leave(this);
  }

  get _wild(): boolean {
    return this.name.endsWith("*");
  }

  _covers(room: string): boolean {
    return covers(this.name, room) && !room.endsWith("*");
  }

  /** Within an epoch a position never goes back. Reports whether another epoch has begun. */
  _raise(to?: Positions): boolean {
    if (!to || this._filling) return false;
    const { epoch, ...offsets } = to, was = this._at.epoch;
    const other = !!epoch && epoch !== was;
    if (other) this._at = { epoch };
    for (const p in offsets) {
      const had = this._at[p], off = offsets[p]!;
      if (had === undefined || off > had) this._at[p] = off;
    }
    return other && !!was;
  }
}
