import type { FindPassword } from '../../database/address.js';
import type { Logger } from '../../logger.js';
import type { Failures } from '../failure-log.js';
import type { ReadingRow } from '../log/change-rows.js';
import type { Position } from '../log/position.js';
import type { MessageSenderOptions, Term } from './message-sender.js';

/** The parts that a leader works with. */
export interface LeaderOptions extends Pick<MessageSenderOptions, 'answers'> {
  /** Straight to Postgres: the lock of a session does not work through a pooler in transaction mode. */
  readonly databaseUrl: string;
  /** Finds the password of each new connection. Default: that of the address. */
  readonly password?: FindPassword | undefined;
  /** The shortest time between two reads of a server that is told nothing, in ms; 0: it does not read by the clock. */
  readonly readIntervalMs: number;
  /**
   * Reads the log, beginning after the call.
   * @returns how many changes were read since it was called before, by whomever; undefined where it failed.
   */
  readonly read: () => Promise<number | undefined>;
  /** Reads the log with a query of the leader's session. Rejects as the query does. */
  readonly readWith: (ask: (parameters: unknown[]) => Promise<ReadingRow[]>) => Promise<void>;
  /** Returns the position up to which this server has told. */
  readonly position: () => Position;
  /** Tells whether a notification would be received. */
  readonly isListening: () => boolean;
  /** Called when the session has failed: nothing was read by the clock. */
  readonly onFailure: () => void;
  /** Takes the term that has begun here. */
  readonly onTerm: (term: Term) => void;
  readonly failures: Failures;
  readonly logger: Logger;
}
