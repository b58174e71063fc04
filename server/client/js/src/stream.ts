/** How many streams there are at a time. Each has the rooms that were named together. */
const STREAMS = 3;
/** How many characters of requests go into one body. */
const BODY = 48_000;
/** Something comes every 25 s. */
const QUIET = 35_000;
/** Ends the connection for another one at once: a stream cannot be told to leave a room. */
const RESTART = 4299;

/**
 * EventStream is a connection where WebSocket is blocked, in the shape of a WebSocket. It posts requests
 * and reads server-sent events. Rooms that are named together share a stream.
 */
export class EventStream {
  readyState = 1;
  onmessage?: (e: { data: string }) => void;
  onclose?: (e: { code: number; reason: string; after?: number }) => void;
  onerror?: () => void;
  private _who: any;
  private _id?: number; // of authenticate
  private _asks: { id: number; params: any }[] = [];
  private _first?: AbortController; // the stream without rooms, which lets the client in
  private _streams = new Set<AbortController>();
  private _heard = Date.now();

  constructor(private _url: string) {
    setTimeout(() => this._say({ method: "auth_required", params: {} }));
  }

  send(text: string): void {
    const { id, method, params } = JSON.parse(text);
    if (method === "authenticate" && !this._who) {
      this._who = params.token === undefined ? { anonymous: true } : { token: params.token };
      this._id = id;
      this._first = this._post([]);
    } else if (method === "subscribe") {
      this._asks.push({ id, params });
      if (this._asks.length === 1) setTimeout(() => this._subscribe());
    } else if (method === "ping" && Date.now() - this._heard < QUIET) {
      setTimeout(() => this._say({ id, result: { timestamp: Date.now() } }));
    } else if (method === "ping" || method === "unsubscribe" || method === "authenticate") {
      setTimeout(() => this._end(RESTART, `${method} takes another stream`));
    } else {
      setTimeout(() => this._say({ id, error: { code: -32601, message: `a stream has no ${method}` } }));
    }
  }

  close(): void {
    this.readyState = 3;
    this._first?.abort();
    for (const stream of this._streams) stream.abort();
  }

  private _say(m: any): void {
    this._hear(JSON.stringify({ jsonrpc: "2.0", ...m }));
  }

  private _hear(data: string): void {
    if (this.readyState === 1) this.onmessage?.({ data });
  }

  private _end(code: number, reason: string, after?: number): void {
    if (this.readyState !== 1) return;
    this.close();
    this.onclose?.({ code, reason, after });
  }

  /** Posts what was asked for meanwhile. */
  private _subscribe(): void {
    if (this.readyState !== 1) return;
    if (this._streams.size === STREAMS) return this._end(RESTART, "all rooms in fewer streams");
    let room = BODY, n = 0;
    for (const ask of this._asks) {
      if ((room -= JSON.stringify(ask).length) < 0 && n) break;
      n++;
    }
    const stream = this._post(this._asks.splice(0, n), () => this._first?.abort());
    this._streams.add(stream);
    if (this._asks.length) this._subscribe();
  }

  /** Begins a stream. */
  private _post(requests: unknown[], begun?: () => void): AbortController {
    const stop = new AbortController();
    this._read(requests, stop, begun).catch((e) => {
      if (!stop.signal.aborted) this._end(1006, `no stream: ${e?.message ?? e}`);
    });
    return stop;
  }

  private async _read(requests: unknown[], stop: AbortController, begun?: () => void): Promise<void> {
    // The token is in the body, and this type needs no question of the browser beforehand.
    const headers = { "Content-Type": "text/plain" }, body = JSON.stringify({ ...this._who, requests });
    const answer = await fetch(this._url, { method: "POST", headers, body, cache: "no-store", signal: stop.signal });
    if (!answer.ok) {
      const code = +(answer.headers.get("tapecast-close") ?? (answer.status === 503 ? 1013 : 1008));
      return this._end(code, (await answer.text()).trim(), +(answer.headers.get("retry-after") ?? 0));
    }
    const reader = answer.body!.getReader(), decoder = new TextDecoder();
    let text = "";
    for (let from = 0; ; ) {
      const { value, done } = await reader.read();
      if (stop.signal.aborted) return;
      if (done) return this._end(1006, "the stream ended");
      this._heard = Date.now();
      begun?.();
      begun = undefined;
      text += decoder.decode(value, { stream: true });
      let begin = 0;
      for (let end; (end = text.indexOf("\n\n", Math.max(begin, from))) >= 0; begin = end + 2) {
        this._event(text.slice(begin, end), stop);
        if (stop.signal.aborted) return;
      }
      text = text.slice(begin);
      from = Math.max(0, text.length - 1);
    }
  }

  private _event(block: string, stream: AbortController): void {
    const data: string[] = [];
    let close = false;
    for (const line of block.split("\n")) {
      if (line.startsWith("data: ")) data.push(line.slice(6));
      else if (line === "event: close") close = true;
    }
    const text = data.join("\n");
    if (close) {
      const { code, reason } = JSON.parse(text);
      this._end(code, reason);
    } else if (text.startsWith('{"jsonrpc"')) this._notice(text, stream !== this._first);
    else if (text) this._hear(text);
  }

  /** The first stream stands for authenticate. What later ones say of that is known. */
  private _notice(text: string, later: boolean): void {
    const m = JSON.parse(text), who = m.method === "authenticated" ? m.params : m.id === 0 && m.result;
    if (!later && who) this._say({ id: this._id, result: { ...who, maxMessage: BODY } });
    else if (!later || (!who && m.method !== "auto_subscribed")) this._hear(text);
  }
}
