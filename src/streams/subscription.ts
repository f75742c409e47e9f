import type { Position } from '../feed/log/position.js';

/** The name for every resource that the client may receive. */
export const EVERY_RESOURCE = '*';

/** One subscription of a client. */
export interface Subscription {
  /** A resource's name, or `*`. */
  readonly resource: string;
  /** The position up to which a replay has covered it: live changes that it has seen are not sent again. */
  replayedTo?: Position;
}
