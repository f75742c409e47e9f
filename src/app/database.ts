import { CamelCasePlugin, Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { parseAddress } from 'pg-change-feed/server';
import { type AnswerTime, breakConnection, breakWhenLate } from './answer-time.js';
import type { Database } from './tables.js';

/** Connections that one server's REST holds at the most. */
const MAX_CONNECTIONS = 10;

/** The time until Postgres finds that nobody waits for an answer any more, in ms: else given-up writes would queue for a lock. */
const CHECK_CLIENT_MS = 2000;

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
 * @param databaseUrl its `application_name`, if it has one, goes before our own, `pg-change-feed`; its `options` count.
 * @param onError called for each connection that breaks, idle or in a transaction, perhaps twice for one; the next query
 *   opens a new one. Without it they are closed silently: the query that meets the fault reports it.
 * @param answerTime a connection that takes longer is given up, with those that are idle. Default: no limit, for
 *   migrations.
 */
export function createDatabase(
  databaseUrl: string,
  onError: (error: Error) => void = () => {},
  answerTime?: AnswerTime,
): Kysely<Database> {
  const idle = new Set<pg.ClientBase>();
  const { config, options, applicationName = 'pg-change-feed' } = parseAddress(databaseUrl);
  const pool = new pg.Pool({
    ...config,
    ...(options && { options }),
    application_name: applicationName,
    max: MAX_CONNECTIONS,
    connectionTimeoutMillis: 5000,
    keepAlive: true,
    types,
    // With another style, which a role or a database may have been given, pg would read a moment as null.
    onConnect: async (client) => {
      if (answerTime) breakWhenLate(client, answerTime, () => idle.forEach(breakConnection));
      await client.query('set datestyle to iso');
      // Not every platform can
      await client.query(`set client_connection_check_interval to ${CHECK_CLIENT_MS}`).catch(() => {});
    },
  });
  pool.on('release', (_error, client) => idle.add(client));
  pool.on('acquire', (client) => idle.delete(client));
  pool.on('remove', (client) => idle.delete(client));
  // Without a listener a connection that breaks would end the process: the pool listens to idle ones only, and one that
  // a transaction holds breaks beside the query that fails.
  pool.on('connect', (client) => client.on('error', onError));
  pool.on('error', () => {});
  return new Kysely<Database>({ dialect: new PostgresDialect({ pool }), plugins: [new CamelCasePlugin()] });
}
