import type { FindPassword } from '../database/address.js';
import type { Logger } from '../logger.js';
import type { SentState } from './servers/server-answers.js';

/** The settings of a change feed, and what it works with. */
export interface ChangeFeedOptions {
  /** A direct connection to Postgres: for LISTEN, and for reading the log. */
  readonly listenDatabaseUrl: string;
  /** Finds the password of each new connection. Default: that of the address. */
  readonly password?: FindPassword | undefined;
  /** Notifies over a connection like those of the application's writers, to prove at start that this gets through. */
  readonly notify: (channel: string, payload: string) => Promise<unknown>;
  /**
   * The log is read by the clock, too, after this time and up to a quarter more, in ms: with two seconds for an answer that
   * does not come, it bounds the delay under any fault. Default 2000; 0 switches it off.
   */
  readonly readIntervalMs?: number;
  /** The time that changes stay in the log, in seconds. Default 24 hours. */
  readonly retentionS?: number;
  /** The number of changes that the log keeps at the most. Default 10 million. */
  readonly maxRows?: number;
  /** The number of last changes that are kept in memory, for clients that come back soon. Default 2,000; 0: none. */
  readonly recentChanges?: number;
  /** Returns the number of streams that the feed serves, for `change_feed.status`. Default: 0. */
  readonly streams?: () => number;
  /** Returns what was sent to streams, for `change_feed.reached()`. Default: nothing is known of it. */
  readonly sent?: () => SentState;
  readonly logger: Logger;
}
