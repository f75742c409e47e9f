import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Kysely, sql } from 'kysely';
import { packageRoot } from '../package-root.js';
import { applySqlFile } from './sql-file.js';

/**
 * Puts the schema `change_feed` into the database of an application with migrations of its own: applies what of sql/ it
 * does not have yet. Call it again, in a new migration, after an upgrade of this package.
 * Needs a member of the role change_feed_owner; a superuser makes that role where there is none.
 * @returns the files that were applied now.
 * @throws what Postgres says, and then nothing is changed: migrations run in a transaction.
 * @example export const up = (db) => installChangeFeed(db)
 */
// biome-ignore lint/suspicious/noExplicitAny: a migration's database has no types
export async function installChangeFeed(db: Kysely<any>): Promise<string[]> {
  const files = (await readdir(join(packageRoot, 'sql'))).filter((name) => name.endsWith('.sql')).sort();
  const present = await appliedFiles(db);
  const missing = files.filter((name) => !present.includes(name));
  for (const name of missing) await applySqlFile(db, name);
  return missing;
}

/**
 * Removes the feed wholly: the triggers of all watched tables, the log, the functions. The role change_feed_owner stays:
 * other databases of the cluster may use it.
 */
// biome-ignore lint/suspicious/noExplicitAny: as above
export async function removeChangeFeed(db: Kysely<any>): Promise<void> {
  await sql`select change_feed.unwatch(relation) from change_feed.watched_table`.execute(db);
  // What this transaction has written to a watched table would otherwise be "pending trigger events" of the log.
  await sql`set constraints change_feed.ring immediate`.execute(db);
  await sql`drop schema change_feed cascade`.execute(db);
}

// biome-ignore lint/suspicious/noExplicitAny: as above
async function appliedFiles(db: Kysely<any>): Promise<string[]> {
  const { rows } = await sql<{
    there: boolean;
  }>`select to_regclass('change_feed.sql_file') is not null as there`.execute(db);
  if (!rows[0]?.there) return [];
  return (await sql<{ name: string }>`select name from change_feed.sql_file`.execute(db)).rows.map(({ name }) => name);
}
