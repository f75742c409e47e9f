import { afterAll, beforeAll } from '@jest/globals';
import pg from 'pg';
import { createTestDatabase, type TestDatabase } from './test-database.js';

/** What the log says of one statement. */
export interface Recorded {
  readonly resource: string;
  readonly operation: string;
  readonly keys: unknown[] | null;
  readonly rows: number | null;
  /** Absent where the column `scopes` is null. */
  readonly scopes?: unknown;
}

/** A database with the feed, and an admin's psql on it. */
export interface WatchedDatabase extends TestDatabase {
  readonly psql: pg.Client;
  /** Whom psql is connected as. */
  readonly user: string;
  /** PostgreSQL's major version. */
  readonly version: number;
  /** What the log has gained by these statements; they run in psql unless another session is given. */
  recorded(statements: string, session?: pg.Client): Promise<Recorded[]>;
  /** `change_feed.watch(table, resource, keys)`. @returns what it says. */
  watch(table: string, resource?: string, keys?: boolean): Promise<string>;
  /** Another session, as psql's user or another one whose password is its name. Ended by `drop`. */
  session(user?: string): Promise<pg.Client>;
}

/**
 * Gives the tests of a file a database, and takes it away after them.
 * @param prepare statements that psql runs first.
 */
export function useWatchedDatabase(prepare = ''): WatchedDatabase {
  const database = {} as WatchedDatabase;
  beforeAll(async () => {
    Object.assign(database, await createWatchedDatabase());
    await database.psql.query(prepare);
  });
  afterAll(() => database.drop());
  return database;
}

/** @param template what it is a copy of. Default: the migrated template. */
export async function createWatchedDatabase(template?: string): Promise<WatchedDatabase> {
  const database = await createTestDatabase(template);
  const sessions: pg.Client[] = [];
  const session = async (user?: string) => {
    const url = new URL(database.url);
    if (user) {
      url.username = user;
      url.password = user;
    }
    const client = new pg.Client({ connectionString: url.href, application_name: 'psql' });
    await client.connect();
    sessions.push(client);
    return client;
  };
  const psql = await session();
  const { rows } = await psql.query(
    `select current_setting('server_version_num')::int / 10000 as version, current_user as user`,
  );
  return {
    url: database.url,
    psql,
    user: rows[0].user,
    version: rows[0].version,
    session,
    recorded: async (statements, writer = psql) => {
      const last = await psql.query(`select coalesce(max(lsn), '0/0') as lsn from change_feed.change`);
      await writer.query(statements);
      const log = await psql.query(
        'select resource, details[1] as operation, keys::json, details[5]::json as scopes from change_feed.change where lsn > $1 order by lsn',
        [last.rows[0].lsn],
      );
      return log.rows.map(({ resource, operation, keys, scopes }) => ({
        // Of an own event the log has there what it was given.
        ...(Array.isArray(keys) && operation !== 'emit'
          ? change(resource, operation, keys)
          : change(resource, operation, null, operation === 'emit' ? null : keys)),
        ...(scopes && { scopes }),
      }));
    },
    watch: async (table, resource, keys = true) => {
      const call = 'select change_feed.watch($1::text::regclass, $2, $3) as said';
      return (await psql.query(call, [table, resource ?? null, keys])).rows[0].said;
    },
    drop: async () => {
      for (const client of sessions) await client.end();
      await database.drop();
    },
  };
}

/** A change of rows as the log says it, to compare with: the order of the keys does not count. */
export function change(
  resource: string,
  operation: string,
  keys: readonly unknown[] | null,
  rows = keys?.length ?? null,
): Recorded {
  const byText = (a: unknown, b: unknown) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
  return { resource, operation, keys: keys && [...keys].sort(byText), rows };
}
