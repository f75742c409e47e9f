import type { Position } from '../feed/log/position.js';

/** Every resource that the client may read. */
export const EVERY_RESOURCE = '*';

/** One subscription of a client. */
export interface Subscription {
  /** A resource's name, or `*`. */
  readonly resource: string;
  /** How far a replay has covered it already: live changes that this position has seen are not sent again. */
  replayedTo?: Position;
}
