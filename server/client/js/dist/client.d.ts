import type { Options, Tape } from "./api.js";
export * from "./api.js";
/** Connects to a gateway, and keeps connected until `close` or a final refusal. */
export declare function connect(options: Options): Tape;
