import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { createDatabase } from '../../src/app/database.js';
import { installChangeFeed } from '../../src/database/install.js';
import { checkSchema } from '../../src/doctor/schema.js';
import { checkOpenTransactions, checkServer } from '../../src/doctor/server.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/embedded/embedded-postgres.js';

// What needs a server with settings of its own. A standby is looked at in test/feed/failover.test.ts.

let dataDir: string;
let postgres: EmbeddedPostgres;
let psql: pg.Client;
const sessions: pg.Client[] = [];

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'doctor-'));
  await chmod(dataDir, 0o711);
  postgres = await startEmbeddedPostgres({
    dataDir,
    port: 0,
    settings: { fsync: 'off', max_notify_queue_pages: '64', max_prepared_transactions: '5' },
  });
  const db = createDatabase(postgres.url);
  await db.transaction().execute((transaction) => installChangeFeed(transaction));
  await db.destroy();
  psql = await session();
});

afterAll(async () => {
  for (const client of sessions) await client.end();
  await postgres.stop();
  await rm(dataDir, { recursive: true, force: true });
});

async function session(name = 'psql'): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: postgres.url, application_name: name });
  await client.connect();
  sessions.push(client);
  return client;
}

test('transactions that can be prepared', async () => {
  expect(await checkServer(psql)).toContainEqual(
    expect.objectContaining({ level: 'info', about: 'max_prepared_transactions' }),
  );
});

test('transactions that are open for long, and prepared ones, with what ends them', async () => {
  expect(await checkOpenTransactions(psql)).toEqual([
    { level: 'ok', about: 'open transactions', says: 'none over 5 minutes' },
  ]);
  const open = await session('nachtlauf');
  await open.query('begin; select 1');
  const { rows } = await open.query('select pg_backend_pid() as pid');
  await psql.query(`begin; select change_feed.emit('x'); prepare transaction 'vergessen'`);
  const found = await checkOpenTransactions(psql, 0);
  expect(found).toEqual([
    expect.objectContaining({
      level: 'warn',
      says: expect.stringContaining(`the session with pid ${rows[0].pid} (nachtlauf)`),
      cure: `select pg_terminate_backend(${rows[0].pid})`,
    }),
    expect.objectContaining({ level: 'warn', cure: `rollback prepared 'vergessen'` }),
  ]);
  await psql.query(found[1]?.cure ?? '');
  await open.query('rollback');
  expect(await checkOpenTransactions(psql, 0)).toHaveLength(1);
});

test('a NOTIFY queue that some idle listener lets fill up', async () => {
  const idle = await session();
  await idle.query('listen beliebig');
  await idle.query('begin; select 1');
  for (let usage = 0; usage < 0.5; ) {
    await psql.query(`select pg_notify('beliebig', repeat('x', 7000) || random())`);
    usage = (await psql.query('select pg_notification_queue_usage() as usage')).rows[0].usage;
  }
  expect(await checkServer(psql)).toContainEqual(
    expect.objectContaining({
      level: 'fail',
      about: 'NOTIFY queue',
      says: expect.stringMatching(/^[5-9]\d % full: writers do not notify/),
    }),
  );
  await idle.query('rollback');
});

test('a user who may not use the schema', async () => {
  await psql.query('create role gast');
  const guest = await session();
  await guest.query('set role gast');
  expect(await checkSchema(guest)).toEqual([
    expect.objectContaining({
      level: 'fail',
      about: 'schema change_feed',
      says: expect.stringContaining('may not use it'),
    }),
  ]);
  await guest.query('reset role');
  expect(await checkSchema(guest)).toEqual([]);
});
