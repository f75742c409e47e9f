import { CamelCasePlugin, Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import type { Database } from './tables.js';

/** Connections that one server's REST holds at the most. */
const MAX_CONNECTIONS = 10;

/** Postgres' oid of `date`, from pg_type.dat. */
const DATE_OID = 1082;

/**
 * A day stays `2030-07-01`: as a Date it would be midnight in the server's time zone, and another day in UTC. For these
 * connections only, since pg's own parsers are shared with the application that we may run in.
 */
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === DATE_OID ? (text: string) => text : pg.types.getTypeParser(oid, format as 'text')) as never,
};

/**
 * Connects to the application's database, lazily.
 * @param onError hears of idle connections that break; the next query opens a new one. Without it they are let go
 *   silently: the query that meets the fault reports it.
 */
export function createDatabase(databaseUrl: string, onError: (error: Error) => void = () => {}): Kysely<Database> {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    application_name: 'pg-change-feed',
    max: MAX_CONNECTIONS,
    connectionTimeoutMillis: 5000,
    keepAlive: true,
    types,
  });
  // Without a listener a broken idle connection would end the process.
  pool.on('error', onError);
  return new Kysely<Database>({ dialect: new PostgresDialect({ pool }), plugins: [new CamelCasePlugin()] });
}
