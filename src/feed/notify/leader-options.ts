import type { FindPassword } from '../../database/address.js';
import type { Logger } from '../../logger.js';
import type { Failures } from '../failure-log.js';

/** The parts that a leader works with. */
export interface LeaderOptions {
  /** Straight to Postgres: the lock of a session does not work through a pooler in transaction mode. */
  readonly databaseUrl: string;
  /** Finds the password of each new connection. Default: that of the address. */
  readonly password?: FindPassword | undefined;
  /** 16 hexadecimal digits, the payload of its own notifications: the server that sends them ignores them. */
  readonly notificationId: string;
  /**
   * Reads the log, beginning after the call.
   * @returns how many changes were read since it was called before, by whomever; undefined where it failed.
   */
  readonly read: () => Promise<number | undefined>;
  /** Tells whether a notification would be received. */
  readonly isListening: () => boolean;
  readonly failures: Failures;
  readonly logger: Logger;
}
