import { connect, type Joined, type Message, type Options, type Room, type Tape } from "./client.js";
import { covers } from "./room.js";

/** How many words of rooms a tab may be behind. More are not sent to it: it is told of a gap once it has read on. */
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
}

const plain = ({ code, message, data }: any) => ({ code, message, data });

/** Tab is one page, as the hub sees it. */
class Tab {
  private _sent = 0;
  _behind = false;
  _feeds = new Map<number, [Line, Feed]>();
  _hasToken = false;

  constructor(public _port: MessagePort) {}

  /** Sends what rooms have, while the tab reads it. */
  _tell(...word: unknown[]): void {
    if (this._behind) return;
    this._port.postMessage(word);
    this._behind = ++this._sent > BEHIND;
  }

  _read(n: number): void {
    this._sent -= n;
    if (!this._behind || this._sent > ACK) return;
    this._behind = false;
    for (const [id, [, { room }]] of this._feeds) {
      this._tell(id, "gap", { room: room.name, to: room.positions, cause: "unknown" });
      this._catchUp(id, room, true);
    }
  }

  /** Sends the last values, as a snapshot. Those that the page has may be too old. */
  _catchUp(id: number, top: Room, old = false): void {
    for (const { name: room, last, positions } of [top, ...top.rooms.values()]) {
      if (!last.size && !old) continue;
      this._tell("notice", "snapshot_begin", { room });
      for (const m of last.values()) this._tell(id, "message", m, true);
      this._tell("notice", "snapshot_end", { room, positions });
    }
  }
}

/** Hub has one connection for several tabs. It runs in a SharedWorker, or, where that fails, in each page. */
export class Hub {
  private _tabs = new Set<Tab>();
  private _lines: Line[] = [];
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
    this._url = url;
    tab._hasToken = hasToken;
    this._tabs.add(tab);
    if (lock) navigator.locks.request(lock, () => this._drop(tab)); // when the tab has ended, however
    if (this._lines[0]?.tape.state === "closed") this._close();
    const { state } = (this._lines[0] ??= this._line()).tape;
    tab._port.postMessage(["state", state]);
  }

  private _line(): Line {
    const first = !this._lines.length, hasToken = [...this._tabs].some((tab) => tab._hasToken);
    const token = hasToken ? () => this._token() : undefined;
    const tape = connect({ url: this._url, token, WebSocket: this._WebSocket });
    const all = (...word: unknown[]) => { for (const tab of this._tabs) tab._port.postMessage(word); };
    if (first) tape.on("state", (state, why) => all("state", state, why));
    tape.on("notice", (method, params) => { for (const tab of this._tabs) tab._tell("notice", method, params); });
    tape.on("error", (e, room) => { if (!room) all("error", plain(e)); }); // a room's are told by its feed
    return { tape, feeds: new Map() };
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
    const fits = ({ feeds }: Line) => [...feeds].every(([other, { like: its }]) =>
      other === name ? its === like : !covers(other, name) && !covers(name, other));
    let line = this._lines.find(fits);
    if (!line) this._lines.push(line = this._line());
    const feed = line.feeds.get(name) ?? this._feed(line, name, like, options);
    feed.tabs.set(tab, id);
    tab._feeds.set(id, [line, feed]);
    if (feed.joined) tab._tell(id, "joined", { ...feed.joined, positions: feed.room.positions });
    if (feed.error) tab._tell(id, "error", feed.error, name);
    tab._catchUp(id, feed.room);
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
