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
}

/**
 * Puts a table into the feed, for migrations: one line after the table is made. May be called again.
 * @param table as in SQL: `anmeldung`, `verein.mitglied`, `"Groß"`.
 * @throws what Postgres says: no such table, a view, a temporary or foreign table, not its owner.
 * @example await watch(db, 'veranstaltung')
 */
// biome-ignore lint/suspicious/noExplicitAny: a migration's database has no types
export async function watch(db: Kysely<any>, table: string, { resource, keys }: WatchOptions = {}): Promise<void> {
  await sql`select change_feed.watch(${table}::text::regclass, ${resource ?? null}::text, ${keys ?? true})`.execute(db);
}

/**
 * Takes a table out of the feed, for migrations: before the table is dropped. One that isn't watched stays so.
 * @throws what Postgres says: no such table, not its owner.
 */
// biome-ignore lint/suspicious/noExplicitAny: a migration's database has no types
export async function unwatch(db: Kysely<any>, table: string): Promise<void> {
  await sql`select change_feed.unwatch(${table}::text::regclass)`.execute(db);
}
