import type { TapeError } from "./api.js";

type Handler = (...args: any[]) => void;

/** Emitter calls handlers. One that throws does not keep the others from being called. */
export class Emitter {
  _handlers: Record<string, Set<Handler> | undefined> = Object.create(null);

  on(event: string, handler: Handler): () => void {
    const all = (this._handlers[event] ??= new Set());
    all.add(handler);
    return () => void all.delete(handler);
  }

  /** Reports whether there was a handler. */
  _emit(event: string, a?: any, b?: any): boolean {
    const all = this._handlers[event];
    if (!all?.size) return false;
    for (const handler of all) {
      try {
        handler(a, b);
      } catch (e) {
        queueMicrotask(() => { throw e; }); // like an exception in any event handler
      }
    }
    return true;
  }
}

export const failure = (code: number, message: string, data?: any): TapeError =>
  Object.assign(new Error(message), { code, data });

/** How many calls wait for the connection or their answers. */
export const CALLS = 1000;
export const tooMany = (): TapeError => failure(1006, "too many requests wait for the connection or their answers");

/** A wait that the gateway asks for: a day at most, since a timer of more than 24 days runs at once. */
export const bounded = (ms: any): number => (ms > 0 ? Math.min(ms, 864e5) : 0);

/** After how many ms what was refused may be asked again. 0: it is refused for good. */
export const waitOf = (e: any): number =>
  bounded(e?.data?.retryAfter) || (e?.code === -32004 || e?.code === -32010 ? 1000 : 0);
