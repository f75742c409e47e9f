import { promises as fs } from 'node:fs';
import path from 'node:path';
import { FileMigrationProvider, type Kysely, Migrator, sql, type Transaction } from 'kysely';
import pg from 'pg';
import { OperatorError } from '../operator-error.js';
import { packageRoot } from '../package-root.js';
import { installChangeFeed, queryOver } from './install.js';
import { schemaState } from './schema-state.js';

/** Where Kysely's Migrator notes what it has run, here and in other applications that use it. */
const MIGRATIONS = 'kysely_migration';
/** How long another migration of the same database is waited for, in seconds. */
const MIGRATION_S = 30;
const LOCK_NOT_AVAILABLE = '55P03';
const LACKS_RIGHT = '42501';

/**
 * Brings a database to the newest schema, with the compiled files of migrations/: that of the feed, which is upgraded as
 * {@link installChangeFeed} says, and the tables of the registration system. Safe to run at any time, by any number of
 * servers at once: Kysely's Migrator takes a lock.
 * @returns the names of the migrations that ran now, and the files of sql/ where the schema change_feed was upgraded.
 * @throws {OperatorError} when a migration fails, with what Postgres said, or there are others already; what pg throws when the database can't be used.
 */
export async function migrateToLatest<Tables>(db: Kysely<Tables>): Promise<string[]> {
  const state = await schemaState(queryOver(db));
  if (state.kind !== 'none' && !(await exists(db, MIGRATIONS))) {
    throw new OperatorError(
      'The schema change_feed was made with --feed-only or from the files of sql/: go on with `pg-change-feed migrate --feed-only`.',
    );
  }
  // Not a migration of Kysely's: it counts the one that installed the schema as done, whatever version that was.
  const upgraded = state.kind !== 'none' && (await isOurs(db)) ? await migrateFeed(db) : [];
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
  return [...upgraded, ...results.map((result) => result.migrationName)];
}

/**
 * Brings a database of another application to the newest schema `change_feed`, and touches nothing else: what
 * `pg-change-feed migrate --feed-only` does. Safe to run at any time, by any number of servers at once. In migrations of
 * the application itself call {@link installChangeFeed}; either may go on where the other has stopped.
 * @returns the files of sql/ that were applied now.
 * @throws {OperatorError} when the schema belongs to {@link migrateToLatest}; what pg throws, and then nothing is changed.
 */
// biome-ignore lint/suspicious/noExplicitAny: the tables of the application's database are no concern of ours
export async function migrateChangeFeed(db: Kysely<any>): Promise<string[]> {
  if (await isOurs(db)) {
    throw new OperatorError(
      'The schema change_feed was made without --feed-only: go on with `pg-change-feed migrate`.',
    );
  }
  return migrateFeed(db);
}

/** Makes or upgrades the schema, one session at a time. */
// biome-ignore lint/suspicious/noExplicitAny: as above
async function migrateFeed(db: Kysely<any>): Promise<string[]> {
  try {
    return await db.transaction().execute(migrateInTransaction);
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.severity !== 'ERROR' || error.code === LACKS_RIGHT) throw error;
    const reason = [error.message, error.hint].filter(Boolean).join('. ');
    throw new OperatorError(
      `The schema change_feed could not be brought up to date, and nothing was changed: ${reason}`,
    );
  }
}

// biome-ignore lint/suspicious/noExplicitAny: as above
async function migrateInTransaction(transaction: Transaction<any>): Promise<string[]> {
  try {
    await sql`set local lock_timeout = ${sql.lit(`${MIGRATION_S}s`)}`.execute(transaction);
    await sql`select pg_advisory_xact_lock(hashtext('change_feed'), hashtext('migrate'))`.execute(transaction);
    await sql`set local lock_timeout to default`.execute(transaction);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === LOCK_NOT_AVAILABLE)) throw error;
    throw new OperatorError(
      `Another session migrates, and has not ended within ${MIGRATION_S} s: wait for it, or look for it with ` +
        `\`select pid from pg_locks where locktype = 'advisory' and granted\`.`,
    );
  }
  return installChangeFeed(transaction);
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
