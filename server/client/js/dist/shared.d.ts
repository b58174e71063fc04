import { type Options, type Tape } from "./client.js";
export * from "./api.js";
/** What `connect` takes besides. */
export interface SharedOptions extends Options {
    /**
     * Pages that give the same name and url share a connection. Name the user: what one page gets, all may get.
     * A page that has a token and gives no name has a connection alone.
     */
    name?: string;
    /** A script of the page's own origin that is this module, or imports it. None: the page has a connection alone. */
    worker?: string | URL;
}
/** Connects to a gateway, on one connection with all pages of the origin that do. */
export declare function connect(options: SharedOptions): Tape;
