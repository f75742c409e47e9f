import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import { installChangeFeed, removeChangeFeed } from '../../src/database/install.js';
import { unwatch, watch } from '../../src/database/watch.js';
import { packageRoot } from '../../src/package-root.js';
import { startTestServer } from '../running-server.js';
import { createRawDatabase, databaseUrl, runAsAdmin } from '../test-database.js';
import { until } from '../until.js';

const CHINOOK = readFileSync(join(packageRoot, 'test/chinook/chinook.sql'), 'utf8');

/** Tables of the other application, and a write to each. */
const WRITES: [string, string][] = [
  ['artist', `insert into artist values (3, 'Aerosmith')`],
  ['album', `update album set title = 'Balls' where album_id = 2`],
  ['track', 'update track set unit_price = 1.29'],
  ['playlist_track', 'delete from playlist_track where track_id = 2'],
  [
    'customer',
    `insert into customer (customer_id, first_name, last_name, email) values (1, 'Luís', 'Gonçalves', 'l@example.org')`,
  ],
  ['invoice', `insert into invoice (invoice_id, customer_id, invoice_date, total) values (1, 1, '2030-07-01', 1.98)`],
];

test('the migrations of another application install the feed, watch its tables, and remove it without a trace', async () => {
  const name = `chinook_${process.pid}`;
  await createRawDatabase(name);
  const pool = new pg.Pool({ connectionString: databaseUrl(name) });
  pool.on('error', () => {}); // dropping the database may end a connection that the pool is closing
  // biome-ignore lint/suspicious/noExplicitAny: an application's database, whose tables are its own
  const db = new Kysely<any>({ dialect: new PostgresDialect({ pool }) });
  await sql.raw(CHINOOK).execute(db);
  const count = async (query: string) => {
    const { rows } = await sql<{ n: number }>`${sql.raw(`select count(*)::int as n from ${query}`)}`.execute(db);
    return rows[0]?.n;
  };
  const before = await count('pg_trigger');

  // As a migration: in one transaction, which rolls back whole
  const failing = db.transaction().execute(async (transaction) => {
    await installChangeFeed(transaction);
    await watch(transaction, 'gibtesnicht');
  });
  await expect(failing).rejects.toThrow('relation "gibtesnicht" does not exist');
  expect(await count(`pg_namespace where nspname = 'change_feed'`)).toBe(0);

  await db.transaction().execute(async (transaction) => {
    expect(await installChangeFeed(transaction)).toEqual(
      readdirSync(join(packageRoot, 'sql'))
        .filter((file) => file.endsWith('.sql'))
        .sort(),
    );
    for (const [table] of WRITES) await watch(transaction, table, { keys: table !== 'customer' });
    await watch(transaction, 'public.genre', { resource: 'musik' });
    await unwatch(transaction, 'genre');
  });
  expect(await installChangeFeed(db)).toEqual([]);
  for (const [, write] of WRITES) await sql.raw(write).execute(db);
  const { rows } = await sql`select resource, details[1] as operation, keys::json from change_feed.change
    where details[1] <> 'change' order by lsn`.execute(db); // watch() says of tables with rows that they changed
  expect(rows).toEqual([
    { resource: 'artist', operation: 'insert', keys: [3] },
    { resource: 'album', operation: 'update', keys: [2] },
    { resource: 'track', operation: 'update', keys: expect.arrayContaining([1, 2]) },
    { resource: 'playlist_track', operation: 'delete', keys: [[1, 2]] },
    { resource: 'customer', operation: 'insert', keys: null },
    { resource: 'invoice', operation: 'insert', keys: [1] },
  ]);

  // Kysely runs all migrations in one transaction: another one may have written before.
  await db.transaction().execute(async (transaction) => {
    await sql`delete from invoice`.execute(transaction);
    await removeChangeFeed(transaction);
  });
  expect(await count('pg_trigger')).toBe(before);
  expect(await count(`pg_namespace where nspname = 'change_feed'`)).toBe(0);
  await sql`insert into genre values (9, 'Opera')`.execute(db);
  await db.destroy();
  await runAsAdmin(`drop database ${name} with (force)`);
});

test("another application's tables, live", async () => {
  const server = await startTestServer();
  await server.psql(CHINOOK);
  for (const [table] of WRITES) await server.psql(`select change_feed.watch('${table}')`);
  const stream = await server.stream();
  await stream.clientId();
  for (const [, write] of WRITES) await server.psql(write);
  // watch() has said of tables with rows that they changed, without an operation. A server that had not read that yet
  // when the stream began tells the stream, too.
  const written = () => stream.events.filter(({ data }) => data.operation).map(({ data }) => data.resource);
  await until(
    () => written().length >= WRITES.length,
    () => `an update for each write, of ${written()},`,
  );
  expect(written()).toEqual(WRITES.map(([table]) => table));
  await server.stop();
});
