import { type Config, readConfig } from '../config.js';
import { createDatabase } from '../database/connection.js';
import { databaseFailure } from '../database/failure.js';
import { migrateChangeFeed, migrateToLatest } from '../database/migrate.js';
import { OperatorError } from '../operator-error.js';
import { createLogger } from '../server/logger.js';
import { startServer } from '../server/server.js';
import { refusePgVariables } from './database.js';
import { stopOnSignal } from './stop-on-signal.js';
import { keysOf } from './token.js';

/** Serves the feed of an existing database: streams, health and metrics. @param options `migrate`: brings it to the newest schema first. */
export async function serve(options: { readonly migrate: boolean }): Promise<void> {
  const config = readConfig();
  const databaseUrl = requireDatabaseUrl(config);
  const keys = await keysOf(config);
  if (options.migrate) await migrateDatabase(databaseUrl);
  const server = await startServer({ ...config, ...keys, databaseUrl, logger: createLogger(config.logLevel) });
  stopOnSignal(() => server.stop());
}

/**
 * Brings the database of DATABASE_URL to the newest schema, and says what was done.
 * @param options `feedOnly`: the schema change_feed alone, for the database of another application.
 */
export async function migrate({ feedOnly }: { readonly feedOnly: boolean }): Promise<void> {
  const names = await migrateDatabase(requireDatabaseUrl(readConfig()), feedOnly);
  console.log(names.length > 0 ? `Migrated: ${names.join(', ')}` : 'The schema is the newest already.');
}

/** @returns the names of the migrations that ran. @throws {OperatorError} */
export async function migrateDatabase(databaseUrl: string, feedOnly = false): Promise<string[]> {
  const db = createDatabase(databaseUrl);
  try {
    return await (feedOnly ? migrateChangeFeed(db) : migrateToLatest(db));
  } catch (error) {
    throw databaseFailure(error, databaseUrl);
  } finally {
    await db.destroy();
  }
}

/** @throws {OperatorError} when DATABASE_URL is not set. */
function requireDatabaseUrl({ databaseUrl }: Config): string {
  if (databaseUrl) return databaseUrl;
  refusePgVariables();
  throw new OperatorError(
    'DATABASE_URL: expected postgres://user:password@host:port/database; `pg-change-feed dev` brings a database of its own',
  );
}
