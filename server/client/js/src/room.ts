import type { Message, NextPositions, Positions } from "./api.js";
import { Place } from "./place.js";

/** Reports whether a gateway takes these offsets. One bad position spoils a request for many rooms. */
const offsets = (at: any, least: number): boolean => !!at && typeof at === "object" && Object.keys(at).every(
  (p) => p === "epoch" || (/^(0|[1-9]\d*)$/.test(p) && Number.isSafeInteger(at[p]) && at[p] >= least),
);

/** Reports whether a room can be resumed from these positions. */
export const sound = (at: any): boolean => offsets(at, -1) && !!at.epoch && typeof at.epoch === "string";

/** Member is one room, or one wildcard, with all that is known of it. */
export class Member extends Place {
  declare rooms: Map<string, Member>;
  declare _under?: Member;
  /** What `load` gave, in Kafka's convention without an epoch: the gateway's answer has our own. */
  _from?: NextPositions;
  /** Tells wishes of a join from others. */
  _like = "";
  /** The application asked for it by name. */
  _wanted = false;
  /** It is joined by its own name. Else the gateway leaves it with its wildcard. */
  _own = false;
  /** It is asked for alone: a request for many was refused. */
  _alone = false;
  /** How much of its rooms' positions a wildcard's request leaves out: 1 the stored ones, 2 all. */
  _brief = 0;
  /** All of its rooms' positions were in the last request. */
  _whole = false;
  /** It was joined at least once. */
  _had = false;
  /** The last join named a position. */
  _resumed = false;
  _chain = false;
  /** It, or a room of it, has had a snapshot: last values are kept, positions are not stored. */
  _keyed = false;
  _loading = false;
  /** How often `load` was called since the last message. */
  _loads = 0;
  /** Where its chain was broken. */
  _broken?: string;

  /** Whose wishes hold for it: its own, or its wildcard's. */
  get _of(): Member {
    return this._wanted ? this : this._under ?? this;
  }

  /** What `since` says of it: undefined if it has no position that can be resumed. */
  _since(): Positions | NextPositions | undefined {
    return this._at.epoch ? this._at : this._from;
  }

  /** Forgets where it stands. */
  _forget(): void {
    this._at = {};
    this._from = undefined;
    this._had = this._filling = false;
  }

  /** Takes the positions that `load` returned. */
  _take(from: any): void {
    const { next, epoch, topicId } = from;
    this._at = {};
    this._from = undefined;
    if (next && offsets(next, 0) && !epoch && topicId) {
      this._from = { topicId, next };
      return;
    }
    const at: any = next ? { epoch } : { ...from };
    for (const p in next) at[p] = next[p] - 1;
    if (!sound(at)) throw new Error("its positions lack an epoch, or are no offsets by partition");
    this._at = at;
  }

  /** Keeps the newest message of its key, if the keys are bounded: by the gateway or by `keys`. */
  _keep(m: Message): void {
    const { key } = m, { keys, maxRate } = this._of._options;
    if (key === undefined || !(this._keyed || keys || (!this._chain && !maxRate))) return;
    if (m.data === null) this.last.delete(key);
    else this.last.set(key, m);
  }
}
