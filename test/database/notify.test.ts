import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import pg from 'pg';
import { createDatabase } from '../../src/app/database.js';
import { installChangeFeed } from '../../src/database/install.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/embedded/embedded-postgres.js';
import { until } from '../until.js';

// How NOTIFY could fail a writer's COMMIT. In a cluster of its own, for what is done here reaches all of its sessions.

let dataDir: string;
let postgres: EmbeddedPostgres;
let psql: pg.Client;
let leader: pg.Client;
const sessions: pg.Client[] = [];

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'notify-'));
  await chmod(dataDir, 0o711);
  postgres = await startEmbeddedPostgres({
    dataDir,
    port: 0,
    settings: { fsync: 'off', max_notify_queue_pages: '64' },
  });
  const db = createDatabase(postgres.url);
  await db.transaction().execute((transaction) => installChangeFeed(transaction));
  await db.destroy();
  psql = await session();
  await psql.query(`create table t (id int primary key); select change_feed.watch('t')`);
  leader = await session();
  await leader.query('select change_feed.lead()');
});

// An idle leader: writers notify.
beforeEach(() => leader.query('select change_feed.begin_idle()'));

afterAll(async () => {
  for (const client of sessions) await client.end();
  await postgres.stop();
  await rm(dataDir, { recursive: true, force: true });
});

async function session(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  sessions.push(client);
  return client;
}

test('a writer with a lock_timeout or a transaction_timeout does not wait for the commit of another notifier', async () => {
  // A commit that waits for a standby that isn't there holds the lock that every notifier's commit takes.
  await psql.query(`alter system set synchronous_standby_names = 'nobody'`);
  await psql.query('select pg_reload_conf()');
  const slow = await session();
  await until(
    async () => (await psql.query('show synchronous_standby_names')).rows[0].synchronous_standby_names !== '',
  );
  const { rows } = await slow.query('select pg_backend_pid() as pid');
  const waiting = async (event: string) =>
    (await psql.query('select from pg_stat_activity where wait_event = $1', [event])).rows.length > 0;
  const slowCommit = slow.query('create table irrelevant (); notify anything');
  await until(() => waiting('SyncRep'), 'the commit that waits');

  let id = 10;
  for (const settings of [`set lock_timeout = '1ms'`, `set transaction_timeout = '1min'`]) {
    const writer = await session();
    await writer.query(`set synchronous_commit = local; ${settings}`);
    id += 1;
    await writer.query('insert into t values ($1)', [id]);
    await writer.query(`begin; insert into t values (${-id}); set constraints all immediate; commit`);
    expect(await waiting('SyncRep')).toBe(true);
  }
  // The premise: a writer without such a limit waits.
  const writer = await session();
  await writer.query('set synchronous_commit = local');
  const write = writer.query('insert into t values (2)');
  await until(() => waiting('object'), 'the writer to wait for the lock');
  await psql.query('select pg_cancel_backend($1)', [rows[0].pid]);
  await write;
  await slowCommit;
  await psql.query('alter system reset synchronous_standby_names');
  await psql.query('select pg_reload_conf()');
});

test('a NOTIFY queue that an idle listener has let fill up does not fail a write', async () => {
  const idle = await session();
  await idle.query('listen beliebig');
  await idle.query('begin; select 1');
  const fill = () => psql.query(`select pg_notify('beliebig', repeat('x', 7000) || random())`);
  const full = (async () => {
    for (let i = 0; i < 1000; i++) await fill();
  })();
  await expect(full).rejects.toThrow('too many notifications in the NOTIFY queue');
  await psql.query('insert into t values (3)');
  await expect(fill()).rejects.toThrow('too many notifications in the NOTIFY queue');
  const { rows } = await psql.query('select keys::json from change_feed.change order by lsn desc limit 1');
  expect(rows).toEqual([{ keys: [3] }]);
  await idle.query('rollback');
});
