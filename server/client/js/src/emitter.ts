import type { TapeError } from "./api.js";

type Handler = (...args: any[]) => void;

/** Emitter calls handlers. One that throws does not keep the others from being called. */
export class Emitter {
  _handlers: Record<string, Set<Handler> | undefined> = {};

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

/** After how many ms what was refused may be asked again. 0: it is refused for good. */
export const waitOf = (e: any): number =>
  e?.data?.retryAfter || (e?.code === -32004 || e?.code === -32010 ? 1000 : 0);
