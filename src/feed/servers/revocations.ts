import type { Logger } from '../../logger.js';
import { FailureLog } from '../failure-log.js';
import { OneAtATime } from './one-at-a-time.js';

/** The notification that an order for all servers waits. It names no subject: anybody may listen. */
const FOR_ALL = '*';

/** The parts that revocations need. */
export interface RevocationsOptions {
  readonly query: (text: string, values: unknown[]) => Promise<readonly Record<string, unknown>[]>;
  readonly logger: Logger;
}

/**
 * Tells every server on the database that the rights of a subject were withdrawn. The order is a row that only servers may
 * read, and a notification without content says that it is there: see sql/012-end-streams.sql.
 */
export class Revocations {
  readonly #query: RevocationsOptions['query'];
  readonly #failures: FailureLog;
  readonly #listeners = new Set<(subject: string) => void>();
  readonly #taking = new OneAtATime(() => this.#take());
  /** The orders of the last minute that were carried out; undefined before the start. */
  #known: ReadonlySet<string> | undefined;

  constructor({ query, logger }: RevocationsOptions) {
    this.#query = query;
    this.#failures = new FailureLog(logger);
  }

  /** Calls `listener` with each subject whose rights were withdrawn from now on, by any server or in SQL. */
  listen(listener: (subject: string) => void): void {
    this.#listeners.add(listener);
  }

  /** Begins to take orders. Those of before count as carried out: this server had no streams then. */
  async start(): Promise<void> {
    this.#known = idsOf(await this.#orders());
  }

  /** Withdraws the rights of a subject at every server. Rejects as the query does. */
  async revoke(subject: string): Promise<void> {
    await this.#query('select change_feed.end_streams($1)', [subject]);
  }

  /** Takes the payload of a notification. @returns true where it was about an order, and so not about changes. */
  heard(payload: string): boolean {
    if (payload !== FOR_ALL) return false;
    this.catchUp();
    return true;
  }

  /** Takes the orders that have come while no notification was received. */
  catchUp(): void {
    if (this.#known) void this.#taking.run();
  }

  async #take(): Promise<void> {
    try {
      const orders = await this.#orders();
      const before = this.#known;
      this.#known = idsOf(orders);
      for (const { id, subject } of orders) {
        if (before?.has(id)) continue;
        for (const listener of this.#listeners) listener(subject);
      }
    } catch (error) {
      this.#failures.happened('the orders to end streams could not be taken', error);
    }
  }

  async #orders(): Promise<readonly { id: string; subject: string }[]> {
    const rows = await this.#query('select id, subject from change_feed.ended_streams()', []);
    return rows.map(({ id, subject }) => ({ id: String(id), subject: String(subject) }));
  }
}

function idsOf(orders: readonly { id: string }[]): ReadonlySet<string> {
  return new Set(orders.map(({ id }) => id));
}
