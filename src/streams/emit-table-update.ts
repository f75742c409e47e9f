import { type Kysely, sql, type Transaction } from 'kysely';
import { FailureLog } from '../feed/failure-log.js';
import type { Logger } from '../logger.js';
import { type ScopeValue, topicOf } from '../scope.js';

/** The content of an application's own event, and the transaction that it commits with. */
export interface EmitOptions {
  /**
   * Travels in the event as JSON: at most 64 kB. Everybody subscribed to the resource may read it. What JSON can't hold (a
   * bigint, NaN) rejects with a TypeError; undefined is no data.
   */
  readonly data?: unknown;
  /**
   * The rows that the event is about, as columns with values: `{ veranstaltung_id: 7 }`. Subscribers of a scope receive it
   * where all columns of theirs have these values, and subscribers of the whole resource. Of a watched table only columns of
   * its scopes; of another resource any, at most four. Default: all; then subscribers of a scope receive no data.
   */
  readonly scope?: Readonly<Record<string, ScopeValue>>;
  /** The event commits with this transaction, and is gone when it rolls back. */
  // biome-ignore lint/suspicious/noExplicitAny: the tables of the application's database are no concern of ours
  readonly transaction?: Transaction<any>;
}

/** Events that the application itself makes. */
export interface Emitter {
  /**
   * Records an event of the application through `change_feed.emit()`. A watched table needs none: its trigger has
   * recorded the change already, and the event would come twice.
   *
   * Rejects with the error of Postgres: no right, a name that can't be a resource's, or a column that is in no scope. It is logged,
   * too, and ends no process where nobody awaits the promise; many with the same cause are counted, and logged once a minute.
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
 * Makes the emitter of a database.
 * @param db any Kysely instance on the database of the feed, with the right to execute `change_feed.emit`.
 */
// biome-ignore lint/suspicious/noExplicitAny: the tables of the application's database are no concern of ours
export function createEmitter(db: Kysely<any>, logger: Logger): Emitter {
  const failures = new FailureLog(logger);
  // biome-ignore lint/suspicious/noExplicitAny: as above
  type Executor = Kysely<any>;
  async function emit(executor: Executor, resource: string, json: string | null, scope: string | null): Promise<void> {
    await sql`select change_feed.emit(${resource}, ${json}::jsonb, ${scope}::jsonb)`.execute(executor);
  }

  /** Handles the failure of a call that nobody awaits: without that a forgotten `await` would end the process. */
  function logged<Result>(resource: string, work: Promise<Result>): Promise<Result> {
    work.catch((error: unknown) => failures.happened('an event was not recorded', error, { resource }));
    return work;
  }

  return {
    emitTableUpdate(resource, { data, scope, transaction } = {}) {
      const record = async () => emit(transaction ?? db, resource, jsonOf(data), scopeJson(resource, scope));
      return logged(resource, record());
    },
    withSSENotification(resource, write, { data, scope, transaction } = {}) {
      // biome-ignore lint/suspicious/noExplicitAny: as above
      const both = async (trx: Transaction<any>) => {
        // Before the write, so that data which can't be recorded costs no transaction.
        const json = jsonOf(data);
        const scoped = scopeJson(resource, scope);
        const result = await write(trx);
        await emit(trx, resource, json, scoped);
        return result;
      };
      return logged(resource, transaction ? both(transaction) : db.transaction().execute(both));
    },
  };
}

/**
 * Encodes the data of an event as JSON; null for none.
 * @throws {TypeError} for values that JSON would drop or change silently: bigint, NaN, infinities, functions, symbols.
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

/** Encodes a scope with its values as texts; null for none. @throws {TypeError} for what is no scope. */
function scopeJson(resource: string, values: EmitOptions['scope']): string | null {
  return values === undefined ? null : JSON.stringify(topicOf(resource, values).scope);
}
