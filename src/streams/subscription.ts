import type { Position } from '../feed/log/position.js';
import type { Client } from './client.js';

/** The name for every topic that the client may receive. */
export const EVERY_RESOURCE = '*';

/** One subscription of a client. */
export interface Subscription {
  readonly client: Client;
  /** A resource's name, the text of a scope, or `*`. */
  readonly topic: string;
  /** The position up to which a replay has covered it: live changes that it has seen are not sent again. */
  replayedTo?: Position;
}
