// What goes over the socket, as /asyncapi.json has it. A test holds these types to its schemas; so it does those of
// api.ts that have a schema. They are types alone: the bundle has nothing of them.
import type { NextPositions, Positions } from "./api.js";

/** An error of the gateway. */
export interface WireError {
  code: number;
  message: string;
  data?: ErrorData;
}

export interface ErrorData {
  retryAfter?: number;
  oldest?: Positions;
}

/** The answer about a room or wildcard, or what a wildcard says of one of its rooms. A refused one has no status. */
export interface Answer {
  room: string;
  pattern?: string;
  status?: "joined" | "left";
  class?: string;
  chain?: boolean;
  already?: true;
  keys?: string[];
  max_rate?: number;
  positions?: Positions;
  partial?: true;
  full?: true;
  recovered?: boolean;
  error?: WireError;
  rooms?: Answer[];
}

/** The answer to subscribe. */
export interface Rooms {
  rooms: Answer[];
}

/** The answer to authenticate. */
export interface Identity {
  clientId: string;
  userId: string | null;
  expires?: number;
  maxMessage: number;
}

/** A frame that is no room's message. */
export interface Frame {
  jsonrpc: string;
  id?: number | string | null;
  method?: string;
  params?: unknown;
  result?: unknown;
  error?: WireError;
}

export interface GapNotice {
  room: string;
  from: Positions;
  to: Positions;
}

export interface ResetNotice {
  room: string;
  epoch: string;
}

export interface SnapshotBegin {
  room: string;
  partial?: true;
}

export interface SnapshotEnd {
  room: string;
  positions: Positions;
  partial?: true;
}

export interface LeftNotice {
  code: number;
  message: string;
  rooms: Answer[];
}

export interface LimitNotice {
  pattern: string;
  room: string;
  limit?: string;
  most?: number;
}

export interface AuthenticateParams {
  token?: string;
  anonymous?: boolean;
  join?: string[];
}

/** Where the client stands, by room or wildcard. */
export interface Since {
  [room: string]: Positions | NextPositions;
}

export interface SubscribeParams {
  rooms: string[];
  since?: Since;
  keys?: string[];
  max_rate?: number;
  snapshot?: boolean;
}

export interface UnsubscribeParams {
  rooms: string[];
}
