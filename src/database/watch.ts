import { type MigrationDatabase, queryOf } from './migration-database.js';
import { unwatchSql, watchAllSql, watchSql } from './sql-text.js';

/** Settings of a watched table. */
export interface WatchOptions {
  /** The name in the feed. Default: the table's own, without its schema. */
  readonly resource?: string;
  /**
   * Names the primary keys of the changed rows in events. Default true. False for keys that are personal data and
   * for tables with wide rows. Without scopes the triggers then take no transition tables, and a statement that changed no row
   * makes an event, too. Beside scopes they take them, to record the values of the scopes without keys.
   */
  readonly keys?: boolean;
  /**
   * Columns by whose values the table is parted for subscribers and rights, each a scope: `mandant_id`. A scope of several
   * columns joins them with `&`. A name with other characters than letters, digits and `_` is written as
   * encodeURIComponent() does. Default: none.
   */
  readonly scopes?: readonly string[];
}

/** Settings of all tables. */
export interface WatchAllOptions {
  /** Tables to leave out: `table`, `schema.table` or `schema.*`, with `*` for any text. Default: none. */
  readonly except?: readonly string[];
  /** See {@link WatchOptions.keys}. */
  readonly keys?: boolean;
  /**
   * True: an event trigger watches tables that are made later and new partitions, too; it takes a superuser to make one.
   * False: it does so no more. Default: as before.
   */
  readonly future?: boolean;
}

/**
 * Puts a table into the feed, for migrations: one line after the table is made. May be called again.
 * @param table as in SQL: `anmeldung`, `verein.mitglied`, `"Groß"`.
 * @throws what Postgres says: no such table, a view, a temporary or foreign table, not its owner.
 * @example
 * await watch(db, 'veranstaltung');
 * await watch(db, 'rechnung', { scopes: ['mandant_id', 'mandant_id&projekt_id'] });
 */
export async function watch(db: MigrationDatabase, table: string, options: WatchOptions = {}): Promise<void> {
  await queryOf(db)(watchSql(table, options));
}

/**
 * Puts all tables of the caller into the feed, for migrations. Tables that are watched stay as they are. One that cannot be
 * watched is named in a notice of Postgres.
 * @returns what was done with each table that was not watched before.
 * @throws what Postgres says: the tables could not be locked within 10 s; no right to make an event trigger.
 * @example await watchAll(db, { except: ['kysely_*', 'audit.*'] });
 */
export async function watchAll(db: MigrationDatabase, options: WatchAllOptions = {}): Promise<string[]> {
  const rows = await queryOf(db)<{ watch_all: string }>(watchAllSql(options));
  return rows.map((row) => row.watch_all);
}

/**
 * Takes a table out of the feed, for migrations: before the table is dropped. One that isn't watched stays so.
 * @throws what Postgres says: no such table, not its owner.
 */
export async function unwatch(db: MigrationDatabase, table: string): Promise<void> {
  await queryOf(db)(unwatchSql(table));
}
