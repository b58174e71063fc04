import type { Ending, Message, Options, StateName, TapeError } from "./api.js";
import { bounded, CALLS, Emitter, failure, tooMany, waitOf } from "./emitter.js";
import type { AuthenticateParams, Frame, Identity } from "./wire.js";

type Done = (result: any, error?: TapeError) => void;

const now = (): number => performance.now(); // never Date: clocks are set
/** How long token, socket and authentication may take together. */
const CONNECT = 30_000;
/** Something comes every 25 s. After two whole turns of silence the gateway is asked for an answer. */
const TURN = 20_000;
const ANSWER = 10_000;
/** Stands for silence that was asked about already. */
const PROBING = 9;
/** A connection that lived this long was a good one. */
const GOOD = 10_000;
/** After how many short ones in turn the waits grow, whatever their end. */
const SHORT = 3;
/** The code by which a stream asks for another one at once. */
const RESTART = 4299;
/** After how many failed upgrades in turn events are read instead. */
const BLOCKED = 2;
/** How long the gateway has to close after an error without an id. */
const CLOSING = 2000;

/** Link keeps one connection: token, waits, silence, requests. What rooms do with it is another class's. */
export abstract class Link extends Emitter {
  state: StateName = "idle";
  _max = 65536;
  _random = (): number => Math.random();
  private _ws: any;
  /** Counts connections: what belongs to an earlier one is ignored. */
  _turn = 0;
  private _tries = 0;
  private _timer?: any;
  private _due = 0;
  private _plain = false; // the wait has no other reason than a lost connection
  private _opened?: number;
  private _short = 0; // connections in turn that were lost soon after they were let in
  private _silent = 0;
  private _within = 0; // how long an answer, and each part of what comes before it, may take
  private _after = 0; // the least wait, as the gateway asked for it
  private _renewing = false;
  private _id = 0;
  private _calls = new Map<number, Done>();
  private _queue: (() => void)[] = [];
  private _deaf: (() => void)[] = [];
  private _timers = new Set<any>();
  private _failed = 0; // upgrades in turn
  private _streams = false; // the connection reads events
  private _odd = false; // a frame of this connection was none of the protocol's

  abstract _begin(): void;
  abstract _end(): void;
  abstract _message(m: Message): void;
  abstract _notice(method: string, params: any): void;
  abstract _save(): void;

  constructor(public _options: Options) {
    super();
    const g = globalThis as any, doc = g.document;
    const listen = (at: any, event: string, f: () => void) => {
      if (!at?.addEventListener) return;
      at.addEventListener(event, f);
      this._deaf.push(() => at.removeEventListener(event, f));
    };
    listen(g, "online", () => this._wake(true));
    listen(g, "pageshow", () => this._wake());
    listen(g, "pagehide", () => this._save());
    listen(doc, "resume", () => this._wake());
    listen(doc, "visibilitychange", () => (doc.visibilityState === "hidden" ? this._save() : this._wake()));
    queueMicrotask(() => this.state === "idle" && this._dial());
  }

  call(method: string, params?: unknown): Promise<any> {
    return new Promise((resolve, reject) => {
      const ask = () => {
        if (this.state === "closed") reject(failure(1006, "the client is closed"));
        else this._request(method, params, (result, error) => (error ? reject(error) : resolve(result)));
      };
      if (this.state !== "closed" && this._queue.length + this._calls.size >= CALLS) reject(tooMany());
      else if (this.state === "open" || this.state === "closed") ask();
      else this._queue.push(ask);
    });
  }

  close(): void {
    if (this.state !== "closed") this._stop(1000, "");
  }

  _fail(e: TapeError, room?: string): void {
    if (!this._emit("error", e, room)) console.error("tapecast:", room ?? "", e.code, e.message);
  }

  /** Calls f after that many ms, unless the client is closed by then, or the turn is over that is given. */
  _later(ms: number, f: () => void, turn = 0): void {
    const timer = setTimeout(() => {
      this._timers.delete(timer);
      if (!turn || turn === this._turn) f();
    }, ms);
    this._timers.add(timer);
  }

  /** Calls f on this connection, after a wait that the gateway asked for. */
  _again(wait: number, f: () => void): void {
    this._later(wait * (1 + this._random()), f, this._turn);
  }

  /** Sends a request. done is called once: with the answer, or why there is none. */
  _request(method: string, params: unknown, done: Done): void {
    const ws = this._ws, id = ++this._id, no = (code: number, why: string) => done(undefined, failure(code, why));
    let text: string;
    try {
      text = JSON.stringify({ id, method, params });
    } catch (e: any) {
      return no(0, `cannot send ${method}: ${e?.message ?? e}`);
    }
    if (!ws) return no(1006, "there is no connection");
    // The gateway closes for good after a message that is too long.
    if (text.length * 3 > this._max && new TextEncoder().encode(text).length > this._max) {
      return no(1009, `cannot send ${method}: it is longer than ${this._max} bytes`);
    }
    this._calls.set(id, done);
    if (ws.readyState === 1) ws.send(text);
  }

  private _set(state: StateName, why?: Ending): void {
    this.state = state;
    this._emit("state", state, why);
  }

  private _in(ms: number, f: () => void): void {
    clearTimeout(this._timer);
    this._due = now() + ms;
    this._timer = setTimeout(f, ms);
  }

  private async _token(): Promise<string | undefined> {
    const { token } = this._options;
    return typeof token === "function" ? token() : token;
  }

  private _dial(): void {
    const turn = ++this._turn;
    this._in(CONNECT, () => this._lost(1006, "no connection in time"));
    this._set("connecting");
    if (turn !== this._turn) return;
    this._token().then(
      (token) => turn === this._turn && this._open(turn, token),
      (e) => turn === this._turn && this._lost(1006, `no token: ${e?.message ?? e}`),
    );
  }

  private _open(turn: number, token?: string): void {
    const { url, stream } = this._options;
    this._streams = stream !== false && this._failed >= BLOCKED;
    if (this._streams) {
      const at = new URL(stream || "stream", url.replace(/^ws/, "http"));
      import("./stream.js").then(
        ({ EventStream }) => turn === this._turn && this._use(new EventStream(at.href), turn, token),
        (e) => turn === this._turn && this._lost(1006, e.message),
      );
      return;
    }
    this._failed++;
    let ws: any;
    try {
      ws = new (this._options.WebSocket ?? WebSocket)(url, "tapecast.v1");
    } catch (e: any) { // the address is wrong
      return this._stop(1006, e.message);
    }
    this._use(ws, turn, token);
  }

  private _use(ws: any, turn: number, token?: string): void {
    const mine = (f: (e: any) => void) => (e: any) => turn === this._turn && f(e);
    this._ws = ws;
    ws.onopen = () => { this._failed = 0; };
    ws.onmessage = mine((e) => this._hear(e.data, token));
    ws.onclose = mine((e) => {
      if (e.after) this._after = bounded(e.after * 1000);
      this._lost(e.code, e.reason);
    });
    // A close follows with its code. Some engines send none if there was no connection.
    ws.onerror = mine(() => setTimeout(mine(() => this._lost(1006, "no connection"))));
    ws.on?.("unexpected-response", (_: any, answer: any) => { // of the package ws
      if (turn === this._turn) this._after = bounded(answer.headers["retry-after"] * 1000);
      ws.terminate();
    });
  }

  private _hear(text: any, token?: string): void {
    if (this._silent < PROBING) this._silent = 0;
    else this._await(); // it may have come before the sleep: only the answer is one, which may be behind much
    try {
      if (typeof text !== "string") throw new Error("it is binary");
      this._take(JSON.parse(text), token);
    } catch (e: any) { // to come again would bring another one
      if (this._odd) return;
      this._odd = true;
      this._fail(failure(0, `cannot read a frame, as of rooms with bare ones: ${e.message}`));
    }
  }

  private _take(m: Frame & { room?: unknown }, token?: string): void {
    if (m.room !== undefined) return this._message(m as unknown as Message);
    if (m.jsonrpc !== "2.0") throw new Error("it is no message of the protocol");
    if (m.method) {
      if (m.method === "auth_required") this._authenticate(token);
      else if (m.method === "auth_expiring") this._renew();
      else if (m.method === "auto_subscribed") this._ready();
      this._notice(m.method, m.params ?? {});
      this._emit("notice", m.method, m.params);
      return;
    }
    const { error } = m, done = this._calls.get(m.id as number);
    this._calls.delete(m.id as number);
    const failed = error && failure(error.code, error.message, error.data), after = bounded(error?.data?.retryAfter);
    if (done) done(m.result, failed);
    else if (after) { // of a request that is not known: one of ours has no answer
      this._after = after;
      this._lost(1013, error!.message);
    } else if (failed) { // mostly a close comes behind it, whose code says what to do
      this._later(CLOSING, () => this._lost(1013, failed.message), this._turn);
    }
  }

  private _authenticate(token?: string): void {
    const who: AuthenticateParams = token === undefined ? { anonymous: true } : { token };
    this._request("authenticate", { ...who, join: [] }, (result?: Identity, error?: TapeError) => {
      if (result?.maxMessage) this._max = result.maxMessage;
      if (!error || error.code === 1006) return;
      this._after = bounded(error.data?.retryAfter); // the gateway closes the connection
      this._fail(error);
    });
  }

  private _renew(): void {
    if (this._renewing || !this._options.token) return;
    this._renewing = true;
    const turn = this._turn;
    this._token().then(
      (token) => {
        this._renewing = false;
        if (turn !== this._turn) return;
        this._request("authenticate", { token }, (_, e) => {
          if (!e || turn !== this._turn) return;
          const wait = waitOf(e);
          if (wait) this._again(wait, () => this._renew());
          else this._fail(e);
        });
      },
      () => { this._renewing = false; }, // the next notice, or 4201, asks again
    );
  }

  private _ready(): void {
    this._opened = now();
    this._silent = 0;
    this._watch();
    this._set("open");
    if (this.state !== "open") return;
    this._begin();
    for (const ask of this._queue.splice(0)) ask();
  }

  /** Looks every 20 s whether anything came. A turn that comes late says that the machine slept. */
  private _watch(): void {
    this._in(TURN, () => {
      const slept = now() - this._due > TURN;
      if (++this._silent > 2 || slept) this._probe(slept ? ANSWER / 2 : ANSWER);
      else this._watch();
    });
  }

  /** Asks for an answer. What was under way from a connection that is dead by now is none. */
  private _probe(within: number): void {
    if (this._silent >= PROBING) return;
    this._silent = PROBING;
    this._within = within;
    this._await();
    this._request("ping", undefined, (_, error) => {
      if (error?.code === 1006) return; // the gateway has not answered
      this._silent = 0;
      this._watch();
    });
  }

  private _await(): void {
    this._in(this._within, () => this._lost(1006, "silent"));
  }

  /** The network or the page is back. A timer may be late, and a connection dead. */
  private _wake(online?: boolean): void {
    if (this.state === "open") return this._probe(ANSWER / 2);
    if (this.state !== "waiting") return;
    if (online && this._plain) {
      this._tries = 0;
      this._due = Math.min(this._due, now() + this._random() * 1000);
    }
    this._in(Math.max(0, this._due - now()), () => this._dial());
  }

  /** Ends the connection, and decides when there is another. */
  _lost(code: number, reason: string): void {
    const after = this._after, opened = this._opened !== undefined, lived = opened ? now() - this._opened! : 0;
    const soon = code >= 4200 || [1001, 1006, 1012, 1013].includes(code);
    const plain = [1001, 1006, 1012, 4201].includes(code);
    if (this.state === "closed") return;
    if (code === 1009 || (code >= 4000 && code < 4100)) return this._stop(code, reason);
    this._cut();
    if (code === RESTART) return this._dial();
    if (this._streams) this._failed = BLOCKED - 1; // WebSocket gets another chance
    if (lived > GOOD) this._short = this._tries = 0;
    else if (opened && plain && this._short++ < SHORT) this._tries = 0;
    const most = Math.min(60, (soon ? 1 : 10) * 2 ** this._tries++) * 1000;
    const wait = after + most * (soon ? this._random() : (1 + this._random()) / 2);
    this._plain = code === 1006 && !after;
    this._in(wait, () => this._dial());
    this._set("waiting", { code, reason, wait });
  }

  private _cut(): void {
    const ws = this._ws, calls = [...this._calls.values()];
    this._turn++;
    this._ws = undefined;
    this._after = 0;
    this._opened = undefined;
    this._renewing = this._odd = false;
    clearTimeout(this._timer);
    this._calls.clear();
    try {
      ws?.close(1000);
    } catch { /* it was never open */ }
    this._end();
    for (const done of calls) done(undefined, failure(1006, "the connection was lost before the answer"));
  }

  private _stop(code: number, reason: string): void {
    this.state = "closed";
    this._save();
    for (const f of this._deaf) f();
    for (const timer of this._timers) clearTimeout(timer);
    this._cut();
    this._set("closed", { code, reason });
    for (const ask of this._queue.splice(0)) ask();
  }
}
