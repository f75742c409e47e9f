import { type Kysely, sql } from 'kysely';

/** Settings of a watched table. */
export interface WatchOptions {
  /** The name in the feed. Default: the table's own, without its schema. */
  readonly resource?: string;
  /**
   * Names the primary keys of the changed rows in events. Default true. False for keys that are personal data and
   * for tables with wide rows; then a statement that changed no row makes an event, too.
   */
  readonly keys?: boolean;
  /**
   * Columns by whose values the table is parted for subscribers and rights, each a scope: `mandant_id`. A scope of several
   * columns joins them with `&`. A name with other characters than letters, digits and `_` is written as
   * encodeURIComponent() does. Default: none.
   */
  readonly scopes?: readonly string[];
}

/**
 * Puts a table into the feed, for migrations: one line after the table is made. May be called again.
 * @param table as in SQL: `anmeldung`, `verein.mitglied`, `"Groß"`.
 * @throws what Postgres says: no such table, a view, a temporary or foreign table, not its owner.
 * @example
 * await watch(db, 'veranstaltung');
 * await watch(db, 'rechnung', { scopes: ['mandant_id', 'mandant_id&projekt_id'] });
 */
// biome-ignore lint/suspicious/noExplicitAny: a migration's database has no types
export async function watch(db: Kysely<any>, table: string, options: WatchOptions = {}): Promise<void> {
  const { resource, keys, scopes } = options;
  await sql`select change_feed.watch(${table}::text::regclass, ${resource ?? null}::text, ${keys ?? true},
    array(select json_array_elements_text(${JSON.stringify(scopes ?? [])}::json)))`.execute(db);
}

/**
 * Takes a table out of the feed, for migrations: before the table is dropped. One that isn't watched stays so.
 * @throws what Postgres says: no such table, not its owner.
 */
// biome-ignore lint/suspicious/noExplicitAny: a migration's database has no types
export async function unwatch(db: Kysely<any>, table: string): Promise<void> {
  await sql`select change_feed.unwatch(${table}::text::regclass)`.execute(db);
}
