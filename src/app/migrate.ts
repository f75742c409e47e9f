import { promises as fs } from 'node:fs';
import path from 'node:path';
import { FileMigrationProvider, type Kysely, Migrator, sql } from 'kysely';
import { migrateChangeFeed, OperatorError } from 'pg-change-feed';
import { builtFolder } from './built-folder.js';

/**
 * Brings a database to the newest schema of the application, with the compiled files of migrations/: the feed, which is
 * upgraded as {@link migrateChangeFeed} says, and the tables of the registration system. Safe to run at any time, by any
 * number of servers at once: Kysely's Migrator takes a lock.
 * @returns the names of the migrations that ran now, and the files of sql/ where the feed was upgraded.
 * @throws {OperatorError} when a migration fails, with what Postgres said, or the database has those of another
 *   application; what pg throws when the database can't be used.
 */
export async function migrateApplication<Tables>(db: Kysely<Tables>): Promise<string[]> {
  // Not a migration of Kysely's: it counts the one that installed the feed as done, whatever version that was.
  const { rows } = await sql<{ there: boolean }>`select to_regnamespace('change_feed') is not null as there`.execute(
    db,
  );
  const upgraded = rows[0]?.there ? await migrateChangeFeed(db) : [];
  const migrationFolder = path.join(builtFolder, 'migrations');
  const migrator = new Migrator({ db, provider: new FileMigrationProvider({ fs, path, migrationFolder }) });
  const { error, results = [] } = await migrator.migrateToLatest();
  const failed = results.find((result) => result.status === 'Error');
  if (failed) {
    const reason = error instanceof Error ? [error.message, hintOf(error)].filter(Boolean).join('. ') : String(error);
    throw new OperatorError(`The migration ${failed.migrationName} failed: ${reason}`);
  }
  if (error instanceof Error && error.message.startsWith('corrupted migrations')) {
    throw new OperatorError(
      'The database has the migrations of another application: give this one a database of its own.',
    );
  }
  if (error) throw error;
  return [...upgraded, ...results.map((result) => result.migrationName)];
}

function hintOf(error: Error): string | undefined {
  return 'hint' in error && typeof error.hint === 'string' ? error.hint : undefined;
}
