/** Where a room or wildcard stands: the epoch of its topic and, by Kafka partition, the last offset. */
export interface Positions {
    epoch?: string;
    [partition: string]: number | string | undefined;
}
/** Positions as Kafka's consumers write them: by partition, the offset to read next. One of the two ids is needed. */
export interface NextPositions {
    topicId?: string;
    epoch?: string;
    next: Record<string, number>;
}
/** A message of a room. `data` is the Kafka value; null says that the key is gone. */
export interface Message<T = any> {
    room: string;
    type?: string;
    key?: string;
    /** Kafka's partition and offset, as in "3:1234". */
    pos?: string;
    /** The position of the message before it in the same room and partition. */
    prev?: string;
    ts?: number;
    data: T;
}
/** Messages that the room had and the application was not sent. */
export interface Gap {
    room: string;
    from?: Positions;
    to?: Positions;
    /** "server": the gateway said so. "chain": messages were missing twice. "unknown": there was no position. */
    cause: "server" | "chain" | "unknown";
}
/** The room's topic was created again: what came before means nothing now. */
export interface Reset {
    room: string;
    epoch: string;
}
/** How the gateway answered a join. */
export interface Joined {
    room: string;
    class?: string;
    chain?: boolean;
    recovered?: boolean;
    positions?: Positions;
}
/** An error that the gateway answered, or code 1006: the connection was lost before an answer came. */
export interface TapeError extends Error {
    code: number;
    data?: any;
}
export type StateName = "idle" | "connecting" | "open" | "waiting" | "closed";
/** Why a connection ended, in the states waiting and closed. `wait` is in ms. */
export interface Ending {
    code: number;
    reason: string;
    wait?: number;
}
export interface RoomEvents<T = any, S = any> {
    message: (m: Message<T>) => void;
    gap: (g: Gap) => void;
    reset: (r: Reset) => void;
    joined: (j: Joined) => void;
    /** What `load` returned. The messages after it come later. */
    load: (state: S) => void;
    error: (e: TapeError, room?: string) => void;
}
/** The events of all rooms, and those of the connection. */
export interface TapeEvents extends RoomEvents {
    state: (state: StateName, why?: Ending) => void;
    /** Every notice of the gateway, as it came. */
    notice: (method: string, params: any) => void;
}
export interface RoomOptions<S = any> {
    /** These keys only. */
    keys?: string[];
    /** The most sends a second. */
    maxRate?: number;
    /** false: start with the live messages. */
    snapshot?: boolean;
    /**
     * The application's own state, and the positions that it is true of. Called again after a gap or reset,
     * of a wildcard after one in any of its rooms.
     */
    load?: () => Promise<{
        state: S;
        positions: Positions | NextPositions;
    }>;
}
/** A membership of a room, or of all rooms of a wildcard such as "prices:BTC*". */
export interface Room<T = any, S = any> {
    readonly name: string;
    /** The newest message of each key, in rooms with a snapshot, and in conflated and filtered ones. */
    readonly last: ReadonlyMap<string, Message<T>>;
    /** The rooms of a wildcard. */
    readonly rooms: ReadonlyMap<string, Room<T>>;
    /** A copy of where the room stands. */
    readonly positions: Positions;
    /** Adds a handler, and returns a function that removes it. */
    on<E extends keyof RoomEvents<T, S>>(event: E, handler: RoomEvents<T, S>[E]): () => void;
    /** Leaves it. A wildcard's room stays left until it is named, or the wildcard joined again. */
    leave(): void;
}
export interface Options {
    /** The gateway's address, such as "wss://push.example.com/ws". */
    url: string;
    /** A token, or what gets one. It is called for each connection, and before a token expires. None: anonymous. */
    token?: string | (() => string | Promise<string>);
    /** Keeps positions across page loads, such as sessionStorage. */
    storage?: {
        getItem(key: string): string | null;
        setItem(key: string, value: string): void;
    };
    /** For where there is no global WebSocket. With that of the package ws, Retry-After is seen too. */
    WebSocket?: new (url: string, protocol: string) => any;
    /**
     * Where streams of events are, after two failed upgrades: an address, or a path beside that of `url`. Default
     * "stream"; false: nowhere.
     */
    stream?: string | false;
}
export interface Tape {
    readonly state: StateName;
    on<E extends keyof TapeEvents>(event: E, handler: TapeEvents[E]): () => void;
    /** Joins a room, or returns it if it is joined. */
    room<T = any, S = any>(name: string, options?: RoomOptions<S>): Room<T, S>;
    /**
     * Sends a request of the application's own, such as "ping", once the connection is open. The promise is
     * rejected with a TapeError: the gateway's, 1006 if no answer came, 1009 if it is too long, 0 if JSON cannot say it.
     */
    call<T = any>(method: string, params?: unknown): Promise<T>;
    close(): void;
}
