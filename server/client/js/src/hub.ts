import { connect, type Joined, type Message, type Options, type Room, type Tape } from "./client.js";
import { covers } from "./place.js";

/**
 * How many words of rooms a tab may be behind, besides last values that it has not read yet. More are not sent
 * to it: it is told of a gap once it has read on.
 */
const BEHIND = 10_000;
/** After how many words read a tab says so. */
export const ACK = 1000;
/** How long a tab may take for a token before another one is asked. */
const TOKEN = 10_000;

/** A room of a tape, with the tabs that are in it, each by its own number of the room. */
interface Feed {
  room: Room;
  like: string;
  tabs: Map<Tab, number>;
  joined?: Joined;
  error?: any;
}

/** A tape and its rooms. A second one is for rooms that cannot be on one connection with those of the first. */
interface Line {
  tape: Tape;
  feeds: Map<string, Feed>;
  id: number;
}

const plain = ({ code, message, data }: any) => ({ code, message, data });

/** Tab is one page, as the hub sees it. */
class Tab {
  private _sent = 0; // words that it has not read
  private _most = BEHIND; // the most of them
  _behind = false;
  /** What it must be told once it has read on, by room: how a join ended, and a reset. */
  private _kept = new Map<string, unknown[]>();
  _feeds = new Map<number, [Line, Feed]>();
  _state = "";
  _hasToken = false;

  constructor(public _port: MessagePort) {}

  /** Sends what rooms have, while the tab reads it. */
  _tell(...word: any[]): void {
    const [id, event, what, of = what.room] = word;
    if (!this._behind) {
      this._post(word);
      this._behind = this._sent > this._most;
    } else if (event === "joined" || event === "reset" || event === "error") {
      this._kept.set([id, event, of] + "", word);
    }
  }

  private _post(word: unknown[]): void {
    this._port.postMessage(word);
    this._sent++;
  }

  _read(n: number): void {
    this._sent -= n;
    this._most = Math.max(BEHIND, this._most - n);
    if (!this._behind || this._sent > ACK) return;
    this._behind = false;
    const kept = [...this._kept.values()];
    this._kept.clear();
    for (const word of kept) if (this._feeds.has(word[0] as number)) this._post(word);
    for (const [id, [line, { room }]] of this._feeds) {
      this._post([id, "gap", { room: room.name, to: room.positions, cause: "unknown" }]);
      this._catchUp(id, line, room, true);
    }
  }

  /**
   * Sends the last values, as a snapshot: all of them, however many they are. A part would be worth nothing, and
   * the next try would not have more. Those that the page has may be too old.
   */
  _catchUp(id: number, line: Line, top: Room, old = false): void {
    if (this._behind) return; // it has all of it later
    const before = this._sent;
    for (const { name: room, last, positions } of [top, ...top.rooms.values()]) {
      if (!last.size && !old) continue;
      this._post(["notice", "snapshot_begin", { room }, line.id]);
      for (const m of last.values()) this._post([id, "message", m, true]);
      this._post(["notice", "snapshot_end", { room, positions }, line.id]);
    }
    this._most += this._sent - before;
  }
}

/** Hub has one connection for several tabs. It runs in a SharedWorker, or, where that fails, in each page. */
export class Hub {
  private _tabs = new Set<Tab>();
  private _lines: Line[] = [];
  private _ids = 0;
  private _url = "";
  private _WebSocket?: Options["WebSocket"];
  private _tokens = new Map<number, (value: any) => void>();
  private _asked = 0;

  /** Takes a tab, whose words come over the port. */
  _enter(port: MessagePort, WebSocket?: Options["WebSocket"]): void {
    const tab = new Tab(port);
    this._WebSocket = WebSocket;
    port.onmessage = ({ data: [verb, a, b, c] }) => {
      if (verb === "hello") this._hello(tab, a, b, c);
      else if (!this._tabs.has(tab)) return;
      else if (verb === "room") this._join(tab, a, b, c);
      else if (verb === "leave") this._leave(tab, a);
      else if (verb === "read") tab._read(a);
      else if (verb === "token") this._tokens.get(a)?.([b, c]);
      else if (verb === "call") {
        const done = (result?: unknown, error?: unknown) => port.postMessage(["call", a, result, error]);
        this._lines[0].tape.call(b, c).then(done, (e) => done(undefined, plain(e)));
      } else this._drop(tab);
    };
  }

  private _hello(tab: Tab, url: string, hasToken: boolean, lock?: string): void {
    const [other] = this._tabs; // on whose connection it would hear what it did not ask for
    if (other && (url !== this._url || hasToken !== other._hasToken)) return tab._port.postMessage(["other"]);
    this._url = url;
    tab._hasToken = hasToken;
    this._tabs.add(tab);
    if (lock) navigator.locks.request(lock, () => this._drop(tab)); // when the tab has ended, however
    if (this._lines[0]?.tape.state === "closed") this._close();
    this._lines[0] ??= this._line();
    this._states();
  }

  private _line(): Line {
    const hasToken = [...this._tabs].some((tab) => tab._hasToken);
    const token = hasToken ? () => this._token() : undefined;
    const tape = connect({ url: this._url, token, WebSocket: this._WebSocket });
    const line: Line = { tape, feeds: new Map(), id: ++this._ids };
    const all = (word: unknown[]) => { for (const tab of this._tabs) tab._port.postMessage(word); };
    tape.on("state", (state, why) => {
      if (!this._lines.includes(line)) return;
      if (state !== "closed") this._states(line, why);
      else if (line === this._lines[0]) all(["state", state, why]);
      else this._end(line, why);
    });
    tape.on("notice", (method, params) => {
      for (const tab of this._tabs) tab._tell("notice", method, params, line.id);
    });
    tape.on("error", (e, room) => { if (!room) all(["error", plain(e)]); }); // a room's are told by its feed
    return line;
  }

  /** Tells each tab the state of its connections: of the first one that is not open, or that all are. */
  private _states(of?: Line, why?: unknown): void {
    for (const tab of this._tabs) {
      let its = this._lines[0];
      for (const [line] of tab._feeds.values()) {
        if (its.tape.state === "open" && line.tape.state !== "closed") its = line;
      }
      const { state } = its.tape, reason = its === of ? why : undefined;
      if (state !== tab._state || reason) tab._port.postMessage(["state", (tab._state = state), reason]);
    }
  }

  /** The gateway has refused a further connection for good, and with it the rooms there. */
  private _end(line: Line, why: any): void {
    this._states();
    for (const [name, feed] of line.feeds) {
      feed.error = { code: why.code, message: `the connection of this room was closed: ${why.reason}` };
      for (const [tab, id] of feed.tabs) tab._tell(id, "error", feed.error, name);
    }
  }

  /** Asks the tabs for a token, the youngest first. One that is frozen does not answer. */
  private async _token(): Promise<string> {
    let why = "no tab has one";
    for (const tab of [...this._tabs].reverse()) {
      if (!tab._hasToken) continue;
      const id = ++this._asked;
      const [value, error] = await new Promise<any>((done) => {
        const timer = setTimeout(done, TOKEN, [undefined, "no tab answers"]);
        this._tokens.set(id, (got) => { clearTimeout(timer); done(got); });
        tab._port.postMessage(["token", id]);
      });
      this._tokens.delete(id);
      if (error === undefined) return value;
      why = error;
    }
    throw new Error(why);
  }

  private _join(tab: Tab, id: number, name: string, options: any): void {
    const like = JSON.stringify(options);
    const fits = ({ tape, feeds }: Line) => tape.state !== "closed" && [...feeds].every(([other, { like: its }]) =>
      other === name ? its === like : !covers(other, name) && !covers(name, other));
    let line = this._lines.find(fits);
    if (!line) this._lines.push(line = this._line());
    const feed = line.feeds.get(name) ?? this._feed(line, name, like, options);
    feed.tabs.set(tab, id);
    tab._feeds.set(id, [line, feed]);
    tab._port.postMessage(["line", id, line.id]);
    this._states();
    if (feed.joined) tab._tell(id, "joined", { ...feed.joined, positions: feed.room.positions });
    if (feed.error) tab._tell(id, "error", feed.error, name);
    tab._catchUp(id, line, feed.room);
  }

  private _feed(line: Line, name: string, like: string, options: any): Feed {
    const room = line.tape.room(name, options), feed: Feed = { room, like, tabs: new Map() };
    line.feeds.set(name, feed);
    const tell = (event: string, what: unknown, more?: unknown) => {
      for (const [tab, id] of feed.tabs) tab._tell(id, event, what, more);
    };
    room.on("message", (m: Message) => {
      const of = room.rooms.get(m.room) ?? room;
      tell("message", m, m.key !== undefined && of.last.get(m.key) === m);
    });
    room.on("gap", (g) => tell("gap", g));
    room.on("reset", (r) => tell("reset", r));
    room.on("joined", (j) => tell("joined", (feed.joined = j)));
    room.on("error", (e, of) => {
      if (of === name) feed.error = plain(e);
      tell("error", plain(e), of);
    });
    return feed;
  }

  private _leave(tab: Tab, id: number): void {
    const [line, feed] = tab._feeds.get(id) ?? [];
    tab._feeds.delete(id);
    feed?.tabs.delete(tab);
    this._states();
    if (!feed || feed.tabs.size) return;
    feed.room.leave();
    line!.feeds.delete(feed.room.name);
    const at = this._lines.indexOf(line!); // the first one stays
    if (!line!.feeds.size && at > 0) this._lines.splice(at, 1)[0].tape.close();
  }

  private _drop(tab: Tab): void {
    if (!this._tabs.delete(tab)) return;
    for (const id of [...tab._feeds.keys()]) this._leave(tab, id);
    tab._port.close();
    if (!this._tabs.size) this._close();
  }

  private _close(): void {
    for (const { tape } of this._lines.splice(0)) tape.close();
  }
}
