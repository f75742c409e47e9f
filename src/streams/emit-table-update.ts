import { type Kysely, sql, type Transaction } from 'kysely';
import { FailureLog } from '../feed/failure-log.js';
import type { Logger } from '../logger.js';

/** What an event of the application may say, and where. */
export interface EmitOptions {
  /**
   * Travels in the event as JSON: at most 64 kB. Everybody subscribed to the resource may read it. What JSON can't hold (a
   * bigint, NaN) rejects with a TypeError; undefined is no data.
   */
  readonly data?: unknown;
  /** The event commits with this transaction, and is gone when it rolls back. */
  // biome-ignore lint/suspicious/noExplicitAny: the tables of the application's database are no concern of ours
  readonly transaction?: Transaction<any>;
}

/** Events that the application itself makes. */
export interface Emitter {
  /**
   * Records an event of the application through `change_feed.emit()`. For a watched table there is no need: its trigger
   * has told already, and this would double it.
   *
   * Rejects with what Postgres says: no right, or a name that can't be a resource's. Where nobody awaits it, the
   * failure is logged; of many with the same cause their number, once a minute.
   *
   * @example await emitTableUpdate('auswertung', { data: { fertig: true } })
   */
  emitTableUpdate(resource: string, options?: EmitOptions): Promise<void>;
  /**
   * Runs a write and records an event in the same transaction: both commit, or neither.
   * The transaction is the given one, or else a new one. Rejects as the write or the event does.
   *
   * @example await withSSENotification('auswertung', (trx) => trx.insertInto('auswertung').values(row).execute())
   */
  withSSENotification<Result>(
    resource: string,
    // biome-ignore lint/suspicious/noExplicitAny: the tables of the application's database are no concern of ours
    write: (transaction: Transaction<any>) => Promise<Result>,
    options?: EmitOptions,
  ): Promise<Result>;
}

/**
 * The emitter of a database.
 * @param db any Kysely instance on the database of the feed, with the right to execute `change_feed.emit`.
 */
// biome-ignore lint/suspicious/noExplicitAny: the tables of the application's database are no concern of ours
export function createEmitter(db: Kysely<any>, logger: Logger): Emitter {
  const failures = new FailureLog(logger);
  // biome-ignore lint/suspicious/noExplicitAny: as above
  async function emit(executor: Kysely<any>, resource: string, json: string | null): Promise<void> {
    await sql`select change_feed.emit(${resource}, ${json}::jsonb)`.execute(executor);
  }

  function logged<Result>(resource: string, work: Promise<Result>): Promise<Result> {
    return LoggedPromise.watch(work, (error) => failures.happened('an event was not recorded', error, { resource }));
  }

  return {
    emitTableUpdate(resource, { data, transaction } = {}) {
      const record = async () => emit(transaction ?? db, resource, jsonOf(data));
      return logged(resource, record());
    },
    withSSENotification(resource, write, { data, transaction } = {}) {
      // biome-ignore lint/suspicious/noExplicitAny: as above
      const both = async (trx: Transaction<any>) => {
        // Before the write: what can't be recorded should not cost it its transaction's time.
        const json = jsonOf(data);
        const result = await write(trx);
        await emit(trx, resource, json);
        return result;
      };
      return logged(resource, transaction ? both(transaction) : db.transaction().execute(both));
    },
  };
}

/**
 * The data of an event as JSON; null for none.
 * @throws {TypeError} for what JSON would drop or change without a word: bigint, NaN, infinities, functions, symbols.
 */
function jsonOf(data: unknown): string | null {
  if (data === undefined) return null;
  const json = JSON.stringify(data, (name, value: unknown) => {
    const unfit =
      ['bigint', 'function', 'symbol'].includes(typeof value) || (typeof value === 'number' && !Number.isFinite(value));
    if (!unfit) return value;
    const where = name === '' ? '' : ` at ${JSON.stringify(name)}`;
    const what = typeof value === 'number' ? value : `a ${typeof value}`;
    throw new TypeError(`data: expected what JSON can hold, got ${what}${where}; send it as text`);
  });
  return json ?? null;
}

/**
 * A promise that says when its failure meets nobody. Without it a forgotten `await` ends the process
 * (`unhandledRejection`), or hides that an event was never recorded.
 *
 * A subclass, for `await` calls an overridden `then` only on what is not a plain Promise (ECMA-262, PromiseResolve).
 */
class LoggedPromise<Result> extends Promise<Result> {
  #awaited = false;

  /** What `then` makes is a plain promise again: whoever calls it takes over the failure. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  static watch<Result>(work: Promise<Result>, onUnheard: (error: unknown) => void): Promise<Result> {
    const promise = new LoggedPromise<Result>((resolve, reject) => {
      work.then(resolve, reject);
    });
    Promise.prototype.then.call(promise, undefined, (error: unknown) => {
      if (!promise.#awaited) onUnheard(error);
    });
    return promise;
  }

  // biome-ignore lint/suspicious/noThenProperty: that somebody calls it is what has to be known
  override then<A = Result, B = never>(
    onFulfilled?: ((value: Result) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#awaited = true;
    return super.then(onFulfilled, onRejected);
  }
}
