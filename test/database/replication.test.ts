import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import pg from 'pg';
import { createDatabase } from '../../src/app/database.js';
import { installChangeFeed } from '../../src/database/install.js';
import { startEmbeddedPostgres } from '../../src/embedded/embedded-postgres.js';
import { until } from '../until.js';

test('a subscriber of logical replication: copies and TRUNCATE are told, applied rows are not, and nothing fails', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'replication-'));
  await chmod(dataDir, 0o711);
  const postgres = await startEmbeddedPostgres({
    dataDir,
    port: 0,
    settings: { fsync: 'off', wal_level: 'logical', wal_retrieve_retry_interval: '100ms' },
  });
  const at = (name: string) => Object.assign(new URL(postgres.url), { pathname: name }).href;
  const connect = async (name: string) => {
    const client = new pg.Client({ connectionString: at(name) });
    await client.connect();
    return client;
  };
  const admin = new pg.Client({ connectionString: postgres.url });
  await admin.connect();
  await admin.query('create database quelle');
  await admin.query('create database ziel');
  await admin.query('create role besitzer');
  const [source, target] = [await connect('quelle'), await connect('ziel')];
  const db = createDatabase(at('ziel'));
  await db.transaction().execute((transaction) => installChangeFeed(transaction));
  await db.destroy();
  await source.query(`create table kunde (id int primary key, n int); insert into kunde values (1), (2);
    create publication p for table kunde`);
  // Of one cluster: the slot has to be there before, or CREATE SUBSCRIPTION waits for itself.
  await source.query(`select pg_create_logical_replication_slot('s', 'pgoutput')`);
  // A table of another owner is written within a security-restricted operation (Postgres 16 and later).
  await target.query(`create table kunde (id int primary key, n int); alter table kunde owner to besitzer;
    select change_feed.watch('kunde')`);
  // As a lead that sleeps: writers ring.
  await target.query('select change_feed.lead(), change_feed.begin_idle()');
  await target.query(`create subscription s connection '${at('quelle')}' publication p with (create_slot = false)`);

  const rows = async () => (await target.query('select id, n from kunde order by id')).rows;
  const told = async () =>
    (await target.query('select details[1] as operation, keys::json from change_feed.change order by lsn'))
      .rows as unknown[];
  await until(async () => (await rows()).length === 2, 'the initial copy');
  expect(await told()).toEqual([{ operation: 'insert', keys: [1, 2] }]);

  await source.query(
    'insert into kunde values (3); update kunde set n = 1 where id = 1; delete from kunde where id = 2',
  );
  await until(async () => (await rows()).some(({ n }) => n === 1), 'the applied rows');
  expect(await rows()).toEqual([
    { id: 1, n: 1 },
    { id: 3, n: null },
  ]);
  expect(await told()).toHaveLength(1);

  await source.query('truncate kunde');
  await until(async () => (await rows()).length === 0, 'the applied TRUNCATE');
  expect((await told()).slice(1)).toEqual([{ operation: 'truncate', keys: null }]);

  await target.query('drop subscription s');
  for (const client of [source, target, admin]) await client.end();
  await postgres.stop();
  await rm(dataDir, { recursive: true, force: true });
});
