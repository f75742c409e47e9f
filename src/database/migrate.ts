import { promises as fs } from 'node:fs';
import path from 'node:path';
import { FileMigrationProvider, type Kysely, Migrator } from 'kysely';
import { OperatorError } from '../operator-error.js';
import { packageRoot } from '../package-root.js';

/**
 * Brings a database to the newest schema, with the compiled files of migrations/. Safe to run at any time, by any
 * number of servers at once: Kysely's Migrator takes a lock.
 * @returns the names of the migrations that ran now.
 * @throws {OperatorError} when a migration fails, with what Postgres said; what pg throws when the database can't be used.
 */
export async function migrateToLatest<Tables>(db: Kysely<Tables>): Promise<string[]> {
  const migrator = new Migrator({
    db,
    provider: new FileMigrationProvider({ fs, path, migrationFolder: path.join(packageRoot, 'dist', 'migrations') }),
  });
  const { error, results = [] } = await migrator.migrateToLatest();
  const failed = results.find((result) => result.status === 'Error');
  if (failed) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new OperatorError(`The migration ${failed.migrationName} failed: ${reason}`);
  }
  if (error) throw error;
  return results.map((result) => result.migrationName);
}
