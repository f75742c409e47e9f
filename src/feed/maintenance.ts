import type { Logger } from '../logger.js';
import type { ExplainedFailures } from './explained-failures.js';
import type { ChangeLog } from './log/change-log.js';

/** The time between two ticks of pruning, in ms. */
const PRUNE_MS = 60_000;
/** The same after one that failed, in ms. */
const PRUNE_RETRY_MS = 5000;
/** The time between two looks of the leader for tables that were exchanged, in ms. */
const DDL_MS = 5000;

const PRUNING_FAILED = 'the log could not be pruned';
const DDL_FAILED = 'exchanged tables could not be looked for';

/** The parts of the maintenance. */
export interface MaintenanceOptions {
  readonly log: ChangeLog;
  /** The time that changes stay in the log, in seconds. */
  readonly retentionS: number;
  /** The number of changes that the log keeps at the most. */
  readonly maxRows: number;
  /** Tells whether this server leads, or would if there were a leader: then it looks for exchanged tables. */
  readonly leads: () => boolean;
  /** Tells whether another server leads: then this one does not prune. */
  readonly follows: () => boolean;
  readonly failures: ExplainedFailures;
  readonly logger: Logger;
}

/** Prunes the log each minute unless another server does, and records a change for tables that were exchanged, restored or dropped. */
export class Maintenance {
  readonly #options: MaintenanceOptions;
  readonly #timers: NodeJS.Timeout[] = [];
  #retry: NodeJS.Timeout | undefined;
  #lookingForDdl = false;
  #stopped = false;

  constructor(options: MaintenanceOptions) {
    this.#options = options;
  }

  /** Does all of it once, and then again and again. */
  start(): void {
    this.#timers.push(
      setInterval(() => void this.#prune(), PRUNE_MS),
      setInterval(() => {
        if (this.#options.leads()) void this.#recordDdl();
      }, DDL_MS),
    );
    void this.#recordDdl();
    void this.#prune();
  }

  /** Begins nothing more. */
  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#retry);
  }

  /** Without it nobody would learn of a table that was exchanged or restored until somebody writes to it. */
  async #recordDdl(): Promise<void> {
    if (this.#lookingForDdl) return;
    const { log, failures } = this.#options;
    this.#lookingForDdl = true;
    try {
      await log.recordDdl();
      failures.succeeded(DDL_FAILED);
    } catch (error) {
      if (!this.#stopped) failures.failed(DDL_FAILED, error);
    } finally {
      this.#lookingForDdl = false;
    }
  }

  async #prune(): Promise<void> {
    const { log, retentionS, maxRows, leads, follows, failures, logger } = this.#options;
    try {
      const pruned = follows() ? 0 : await log.prune(retentionS, maxRows);
      failures.succeeded(PRUNING_FAILED);
      // A schema of another version may fit for reading, and for pruning, and still mean something else.
      await failures.checkSchema({ owners: leads() });
      if (pruned > 0) logger.info({ pruned }, 'old changes were pruned');
    } catch (error) {
      if (this.#stopped) return;
      failures.failed(PRUNING_FAILED, error);
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => void this.#prune(), PRUNE_RETRY_MS);
    }
  }
}
