import { promises as fs } from 'node:fs';
import path from 'node:path';
import { FileMigrationProvider, type Kysely, Migrator, sql } from 'kysely';
import { OperatorError } from '../operator-error.js';
import { packageRoot } from '../package-root.js';
import { installChangeFeed } from './install.js';

/** Where Kysely's Migrator notes what it has run, here and in other applications that use it. */
const MIGRATIONS = 'kysely_migration';

/**
 * Brings a database to the newest schema, that of the feed and the tables of the registration system, with the compiled
 * files of migrations/. Safe to run at any time, by any number of servers at once: Kysely's Migrator takes a lock.
 * @returns the names of the migrations that ran now.
 * @throws {OperatorError} when a migration fails, with what Postgres said, or there are others already; what pg throws when the database can't be used.
 */
export async function migrateToLatest<Tables>(db: Kysely<Tables>): Promise<string[]> {
  if ((await exists(db, 'change_feed.sql_file')) && !(await exists(db, MIGRATIONS))) {
    throw new OperatorError('The schema change_feed was made with --feed-only: go on with `migrate --feed-only`.');
  }
  const migrationFolder = path.join(packageRoot, 'dist', 'migrations');
  const migrator = new Migrator({ db, provider: new FileMigrationProvider({ fs, path, migrationFolder }) });
  const { error, results = [] } = await migrator.migrateToLatest();
  const failed = results.find((result) => result.status === 'Error');
  if (failed) {
    const reason = error instanceof Error ? [error.message, hintOf(error)].filter(Boolean).join('. ') : String(error);
    throw new OperatorError(`The migration ${failed.migrationName} failed: ${reason}`);
  }
  if (error instanceof Error && error.message.startsWith('corrupted migrations')) {
    throw new OperatorError(
      'The database has other migrations than this version knows, maybe those of another application: ' +
        'there one of its own calls installChangeFeed(db), see docs/migrations.md.',
    );
  }
  if (error) throw error;
  return results.map((result) => result.migrationName);
}

/**
 * Brings a database of another application to the newest schema `change_feed`, and touches nothing else: what
 * `pg-change-feed migrate --feed-only` does. Safe to run at any time, by any number of servers at once. In migrations of
 * the application itself call {@link installChangeFeed}; either may go on where the other has stopped.
 * @returns the files of sql/ that were applied now.
 * @throws {OperatorError} when the schema belongs to {@link migrateToLatest}; what pg throws, and then nothing is changed.
 */
// biome-ignore lint/suspicious/noExplicitAny: the tables of the application's database are no concern of ours
export function migrateChangeFeed(db: Kysely<any>): Promise<string[]> {
  return db.transaction().execute(async (transaction) => {
    await sql`select pg_advisory_xact_lock(hashtext('change_feed'), hashtext('migrate'))`.execute(transaction);
    if (await isOurs(transaction)) {
      throw new OperatorError(
        'The schema change_feed was made without --feed-only: go on with `pg-change-feed migrate`.',
      );
    }
    return installChangeFeed(transaction);
  });
}

/** Whether the database has the tables of the registration system, by the migration before them. */
// biome-ignore lint/suspicious/noExplicitAny: as above
async function isOurs(db: Kysely<any>): Promise<boolean> {
  if (!(await exists(db, MIGRATIONS))) return false;
  const { rows } = await sql`select from ${sql.table(MIGRATIONS)} where name = '0001-change-feed'`.execute(db);
  return rows.length > 0;
}

// biome-ignore lint/suspicious/noExplicitAny: as above
async function exists(db: Kysely<any>, table: string): Promise<boolean> {
  const { rows } = await sql<{ found: boolean }>`select to_regclass(${table}) is not null as found`.execute(db);
  return rows[0]?.found === true;
}

function hintOf(error: Error): string | undefined {
  return 'hint' in error && typeof error.hint === 'string' ? error.hint : undefined;
}
