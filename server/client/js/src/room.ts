import type { Message, NextPositions, Positions, RoomOptions } from "./api.js";
import { Emitter } from "./emitter.js";

/** Member is one room, or one wildcard, with all that is known of it. */
export class Member extends Emitter {
  last = new Map<string, Message>();
  rooms = new Map<string, Member>();
  _at: Positions = {};
  /** What `load` gave, in Kafka's convention without an epoch: the gateway's answer has our own. */
  _from?: NextPositions;
  /** The application asked for it by name. */
  _wanted = false;
  /** Its join was sent on this connection, or must not be sent now. */
  _asked = false;
  /** It was joined at least once. */
  _had = false;
  /** The last join named a position. */
  _resumed = false;
  _chain = false;
  /** It is between snapshot_begin and snapshot_end, where it has no position. */
  _filling = false;
  /** It, or a room of it, has had a snapshot: last values are kept, positions are not stored. */
  _keyed = false;
  _loading = false;
  /** How often `load` was called since the last message. */
  _loads = 0;
  /** Where its chain was broken. */
  _broken?: string;
  /** The wildcard that joined it. */
  _under?: Member;

  constructor(public _client: { _leave(m: Member): void }, public name: string, public _options: RoomOptions = {}) {
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
    return this._wild && room.startsWith(this.name.slice(0, -1));
  }

  /** What `since` says of it: undefined if it has no position that can be resumed. */
  _since(): Positions | NextPositions | undefined {
    return this._at.epoch ? this._at : this._from;
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

  /** Takes the positions that `load` returned. */
  _take(from: Positions | NextPositions): void {
    this._at = {};
    this._from = undefined;
    const { next, epoch } = from as NextPositions;
    if (!next) this._at = { ...(from as Positions) };
    else if (!epoch) this._from = from as NextPositions;
    else {
      this._at.epoch = epoch;
      for (const p in next) this._at[p] = next[p] - 1;
    }
  }

  /** Keeps the newest message of its key, if the keys are bounded: by the gateway or by `keys`. */
  _keep(m: Message): void {
    const { key } = m;
    if (key === undefined || !(this._keyed || (!this._chain && !this._options.maxRate))) return;
    if (m.data === null) this.last.delete(key);
    else this.last.set(key, m);
  }
}
