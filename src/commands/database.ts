import pg from 'pg';
import { readConfig } from '../config.js';
import { sessionTo } from '../database/address.js';
import { databaseFailure } from '../database/failure.js';
import { OperatorError } from '../operator-error.js';

/**
 * Reads the addresses of the database: DATABASE_URL, and LISTEN_DATABASE_URL where it is another.
 * @throws {OperatorError} when DATABASE_URL is not set.
 */
export function databaseAddresses(): { readonly url: string; readonly listenUrl: string } {
  const { databaseUrl: url, listenDatabaseUrl } = readConfig();
  if (!url) refusePgVariables();
  if (!url) throw new OperatorError('DATABASE_URL: expected postgres://user:password@host:port/database');
  return { url, listenUrl: listenDatabaseUrl ?? url };
}

/**
 * Opens a session with the database of DATABASE_URL. The caller ends it.
 * @param name the name of the command, which becomes part of the session's application_name: `pg-change-feed sql`.
 * @throws {OperatorError} when DATABASE_URL is not set, or can't be used.
 */
export async function connectToDatabase(name: string): Promise<pg.Client> {
  const { url } = databaseAddresses();
  const client = new pg.Client(sessionTo(url, { name: `pg-change-feed ${name}` }));
  try {
    await client.connect();
    // Names of any bytes may be in such a database, and Postgres would refuse to send them as UTF-8.
    await client.query(
      `select pg_catalog.set_config('client_encoding', 'SQL_ASCII', false)
        where pg_catalog.current_setting('server_encoding') operator(pg_catalog.=) 'SQL_ASCII'`,
    );
  } catch (error) {
    throw databaseFailure(error, url);
  }
  return client;
}

/** Refuses the variables of psql where DATABASE_URL is not set. @throws {OperatorError} with what to set. */
function refusePgVariables(): void {
  if (process.env.PGSERVICE) {
    throw new OperatorError('PGSERVICE is not read: set DATABASE_URL=postgres://user:password@host:port/database.');
  }
  const set = ['PGHOST', 'PGDATABASE', 'PGUSER', 'PGPORT'].find((name) => process.env[name]);
  if (!set) return;
  throw new OperatorError(
    `${set} is set, and DATABASE_URL is not: set DATABASE_URL=postgres:// to take the address from PGHOST, PGUSER and their kin.`,
  );
}
