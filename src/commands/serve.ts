import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { readConfig } from '../config.js';
import { sessionTo } from '../database/address.js';
import { databaseFailure } from '../database/failure.js';
import type { InstallOptions } from '../database/install.js';
import { migrateChangeFeed } from '../database/migrate.js';
import { createLogger } from '../http/logger.js';
import { startServer } from '../koa/server.js';
import { databaseAddresses } from './database.js';
import { stopOnSignal } from './stop-on-signal.js';
import { keysOf } from './token.js';

/** Serves the feed of an existing database: streams, health and metrics. @param options `migrate`: brings it to the newest schema first. */
export async function serve(options: { readonly migrate: boolean }): Promise<void> {
  const config = readConfig();
  const { url: databaseUrl } = databaseAddresses();
  const keys = keysOf(config);
  if (options.migrate) await migrateDatabase(databaseUrl);
  const server = await startServer({ ...config, ...keys, databaseUrl, logger: createLogger(config.logLevel) });
  stopOnSignal(() => server.stop());
}

/** Brings the schema change_feed of DATABASE_URL to the version of this package, and says what was done. */
export async function migrate(options: InstallOptions): Promise<void> {
  const files = await migrateDatabase(databaseAddresses().url, options);
  console.log(files.length > 0 ? `Migrated: ${files.join(', ')}` : 'The schema is the newest already.');
}

/** @returns the files of sql/ that were applied. @throws {OperatorError} */
async function migrateDatabase(databaseUrl: string, options: InstallOptions = {}): Promise<string[]> {
  const pool = new pg.Pool({ ...sessionTo(databaseUrl, { name: 'pg-change-feed migrate' }), max: 1 });
  pool.on('error', () => {}); // the query that meets it reports it
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  try {
    return await migrateChangeFeed(db, options);
  } catch (error) {
    throw databaseFailure(error, databaseUrl);
  } finally {
    await db.destroy();
  }
}
