import { promises as fs } from 'node:fs';
import path from 'node:path';
import { FileMigrationProvider, type Kysely, type MigrationProvider, Migrator, type MigratorProps, sql } from 'kysely';
import { OperatorError } from '../operator-error.js';
import { packageRoot } from '../package-root.js';
import { applySqlFile } from './sql-file.js';

/** Where {@link migrateChangeFeed} notes what it has applied, so that no other migrations of the database get in its way. */
const FEED_TABLE = 'change_feed_migration';

/**
 * Brings a database to the newest schema, that of the feed and the tables of the registration system, with the compiled
 * files of migrations/. Safe to run at any time, by any number of servers at once: Kysely's Migrator takes a lock.
 * @returns the names of the migrations that ran now.
 * @throws {OperatorError} when a migration fails, with what Postgres said, or there are others already; what pg throws when the database can't be used.
 */
export async function migrateToLatest<Tables>(db: Kysely<Tables>): Promise<string[]> {
  if (await exists(db, FEED_TABLE)) {
    throw new OperatorError('The schema change_feed was made with --feed-only: go on with `migrate --feed-only`.');
  }
  const folder = path.join(packageRoot, 'dist', 'migrations');
  return runAll({ db, provider: new FileMigrationProvider({ fs, path, migrationFolder: folder }) });
}

/**
 * Brings a database of another application to the newest schema `change_feed`, and touches nothing else: applies the
 * files of sql/ in order, each once, and notes them in the table `change_feed_migration`. Safe to run at any time, by
 * any number of servers at once. The user needs the right to create a schema and, the first time, a role.
 * @param db any Kysely instance on the database; no plugin of its counts.
 * @returns the names of the files that were applied now, without `.sql`.
 * @throws {OperatorError} when one fails, with what Postgres said; what pg throws when the database can't be used.
 */
// biome-ignore lint/suspicious/noExplicitAny: the tables of the application's database are no concern of ours
export async function migrateChangeFeed(db: Kysely<any>): Promise<string[]> {
  if ((await exists(db, 'change_feed.change')) && !(await exists(db, FEED_TABLE))) {
    throw new OperatorError(
      'The schema change_feed was made without --feed-only: go on with `pg-change-feed migrate`.',
    );
  }
  return runAll({
    db,
    provider: feedMigrations,
    migrationTableName: FEED_TABLE,
    migrationLockTableName: `${FEED_TABLE}_lock`,
  });
}

const feedMigrations: MigrationProvider = {
  getMigrations: async () => {
    const files = await fs.readdir(path.join(packageRoot, 'sql'));
    const numbered = files.filter((name) => /^\d{3}-.*\.sql$/.test(name));
    return Object.fromEntries(
      numbered.map((name) => [name.slice(0, -'.sql'.length), { up: (db) => applySqlFile(db, name) }]),
    );
  },
};

async function runAll(props: MigratorProps): Promise<string[]> {
  const { error, results = [] } = await new Migrator(props).migrateToLatest();
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

// biome-ignore lint/suspicious/noExplicitAny: as above
async function exists(db: Kysely<any>, table: string): Promise<boolean> {
  const { rows } = await sql<{ found: boolean }>`select to_regclass(${table}) is not null as found`.execute(db);
  return rows[0]?.found === true;
}

function hintOf(error: Error): string | undefined {
  return 'hint' in error && typeof error.hint === 'string' ? error.hint : undefined;
}
