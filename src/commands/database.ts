import pg from 'pg';
import { readConfig } from '../config.js';
import { sessionTo } from '../database/address.js';
import { findEmbeddedPostgres } from '../database/embedded-postgres.js';
import { databaseFailure } from '../database/failure.js';
import { OperatorError } from '../operator-error.js';

/**
 * The addresses of the database of DATABASE_URL, or of the embedded one that is running.
 * @throws {OperatorError} when there is none.
 */
export async function databaseAddresses(): Promise<{ readonly url: string; readonly listenUrl: string }> {
  const { databaseUrl, listenDatabaseUrl, dataDir } = readConfig();
  const url = databaseUrl ?? (await findEmbeddedPostgres(dataDir))?.url;
  if (!url) refusePgVariables();
  if (!url) throw new OperatorError('No embedded Postgres is running: start it with `npm start`, or set DATABASE_URL.');
  return { url, listenUrl: listenDatabaseUrl ?? url };
}

/**
 * A session with the database of DATABASE_URL, or with the embedded one that is running. The caller ends it.
 * @param name the command's, for the session's application_name: `pg-change-feed sql`.
 * @throws {OperatorError} when there is none, or it can't be used.
 */
export async function connectToDatabase(name: string): Promise<pg.Client> {
  const { url } = await databaseAddresses();
  const client = new pg.Client(sessionTo(url, { name: `pg-change-feed ${name}` }));
  try {
    await client.connect();
  } catch (error) {
    throw databaseFailure(error, url);
  }
  return client;
}

/** @throws {OperatorError} where the variables of psql name a database, which is not served unless DATABASE_URL says so. */
export function refusePgVariables(): void {
  if (process.env.PGSERVICE) {
    throw new OperatorError('PGSERVICE is not read: set DATABASE_URL=postgres://user:password@host:port/database.');
  }
  const set = ['PGHOST', 'PGDATABASE', 'PGUSER', 'PGPORT'].find((name) => process.env[name]);
  if (!set) return;
  throw new OperatorError(
    `${set} is set, and DATABASE_URL is not: set DATABASE_URL=postgres:// to take the address from PGHOST, PGUSER and their kin.`,
  );
}
