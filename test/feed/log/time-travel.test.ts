import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { ChangeLog } from '../../../src/feed/log/change-log.js';
import type { EventStream } from '../../event-stream.js';
import { startTestServer, type TestServer } from '../../running-server.js';
import { until } from '../../until.js';

// Whatever puts older data in place under a server that runs, or is told to have done so, ends the epoch.

let server: TestServer;
let live: EventStream;
let left: string;

beforeEach(async () => {
  server = await startTestServer({ readIntervalMs: 50 });
  await server.psql(
    `create table t (id int primary key, n int); select change_feed.watch('t'); insert into t values (1, 1)`,
  );
  const away = await server.stream('resources=t');
  await away.clientId();
  left = away.lastEventId() ?? '';
  away.close();
  live = await server.stream('resources=t');
  await live.clientId();
});

afterEach(() => server.stop());

const resyncs = () => live.events.filter(({ data }) => data.reason === 'resync');
const epoch = async () => (await server.psql('select id from change_feed.epoch_in_force')).rows[0]?.id;

/** Live streams and clients that come back are told to refetch, and then receive what is written. */
async function expectRefetch(key: number): Promise<void> {
  await until(() => resyncs().length > 0, 'a resync of the live stream');
  await until(() => server.feed.health.database);
  const back = await server.stream('resources=t', { 'Last-Event-ID': left });
  expect((await back.next(({ event }) => event === 'connected')).data.resumed).toBe(false);
  await server.psql(`insert into t values (${key}, 0)`);
  for (const stream of [live, back]) await stream.next(({ data }) => data.keys?.[0] === key);
  expect(resyncs()).toHaveLength(1);
}

describe('a new epoch', () => {
  test('is begun by change_feed.new_epoch()', async () => {
    await server.psql('select change_feed.new_epoch()');
    await expectRefetch(2);
  });

  test('is begun also within a transaction with savepoints', async () => {
    await server.psql('begin; savepoint a; select change_feed.new_epoch(); release a; commit');
    await expectRefetch(2);
  });

  test('is not begun by who has no right', async () => {
    const before = await epoch();
    await server.psql(`create role nobody_${process.pid}`);
    await expect(server.psql(`set role nobody_${process.pid}; select change_feed.new_epoch()`)).rejects.toThrow(
      'permission denied',
    );
    await server.psql(`reset role; drop role nobody_${process.pid}`);
    expect(await epoch()).toBe(before);
  });

  test('is not begun instead of another one than that which was meant', async () => {
    const before = await epoch();
    await server.psql(`select change_feed.new_epoch('another')`);
    expect(await epoch()).toBe(before);
  });

  test('is begun when somebody empties the log', async () => {
    await server.psql('truncate change_feed.change');
    await expectRefetch(2);
  });

  test('is begun when the row of the epoch has been written by anything but the feed, as by a restore of data', async () => {
    await server.psql(`begin; create temp table copy as table change_feed.epoch; delete from change_feed.epoch;
      insert into change_feed.epoch select * from copy; commit`);
    await expectRefetch(2);
  });

  test('is begun when the database is behind what it has told the server itself', async () => {
    const log = new ChangeLog(server.database.url, () => {});
    const now = await log.begin();
    const before = await epoch();
    const reading = await log.read({ ...now, xmin: now.xmax + 100_000n, xmax: now.xmax + 100_000n, xip: [] });
    expect(reading.lost).toBe(true);
    expect(await epoch()).not.toBe(before);
    await log.close();
    await expectRefetch(2);
  });

  test('is not begun before the schema is whole', async () => {
    const definition = await server.psql(
      `select pg_get_triggerdef(oid) as definition from pg_trigger where tgrelid = 'change_feed.pending_notification'::regclass and tgname = 'notify_at_commit'`,
    );
    await server.psql(
      'begin; drop trigger notify_at_commit on change_feed.pending_notification; delete from change_feed.epoch; commit',
    );
    await until(() => !server.feed.health.database, 'a read that fails');
    await server.psql('insert into t values (7, 7)');
    expect(await epoch()).toBeUndefined();
    expect(resyncs()).toEqual([]);
    await server.psql(definition.rows[0].definition);
    await expectRefetch(2);
  });

  test('is not begun while somebody who may restores, and nobody else can hold it up', async () => {
    const name = `stranger_${process.pid}`;
    await server.psql(`create role ${name} login password '${name}'`);
    const connect = async (user?: string) => {
      const url = new URL(server.database.url);
      if (user) {
        url.username = user;
        url.password = user;
      }
      const client = new pg.Client({ connectionString: url.href, application_name: 'pg_restore' });
      await client.connect();
      return client;
    };
    const stranger = await connect(name);
    const admin = await connect();
    await server.psql('delete from change_feed.epoch');
    await until(() => !server.feed.health.database, 'a read that fails');
    expect(resyncs()).toEqual([]);
    await admin.end();
    await expectRefetch(2);
    await stranger.end();
    await server.psql(`drop role ${name}`);
  });
});

describe('a dump that is restored in place', () => {
  let folder: string;
  let dump: string;
  let usable: boolean;

  beforeEach(async () => {
    const [, major] = /(\d+)/.exec(spawnSync('pg_dump', ['--version'], { encoding: 'utf8' }).stdout ?? '') ?? [];
    const { rows } = await server.psql(`select current_setting('server_version_num')::int / 10000 as version`);
    usable = Number(major) >= rows[0].version;
    folder = await mkdtemp(join(tmpdir(), 'restore-'));
    dump = join(folder, 'all.dump');
    if (!usable) return console.warn(`Skipped: pg_dump ${major ?? ''} can not dump PostgreSQL ${rows[0].version}`);
    await server.psql('insert into t select i, i from generate_series(100, 3000) i');
    await run('pg_dump', ['-Fc', '-f', dump, server.database.url]);
    left = live.lastEventId() ?? '';
    await server.psql('update t set n = 2 where id = 1; insert into t values (50, 50)');
    await until(() => live.events.some(({ data }) => data.keys?.[0] === 50));
    expect(resyncs()).toEqual([]);
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  // Not spawnSync: the server in this process reads meanwhile.
  async function run(command: string, args: readonly string[]): Promise<void> {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let complaints = '';
    child.stderr.on('data', (text) => {
      complaints += text;
    });
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(complaints);
  }
  const restore = (...options: string[]) => run('pg_restore', [...options, '-d', server.database.url, dump]);

  test.each([
    ['--clean', ['--clean', '--if-exists']],
    ['--clean in one transaction', ['--clean', '--if-exists', '--single-transaction']],
    ['--clean by several jobs', ['--clean', '--if-exists', '-j', '3']],
  ])('%s: everybody refetches, once', async (_name, options) => {
    if (!usable) return;
    await restore(...options);
    await expectRefetch(2);
  });

  /** Drops what a server reads at the same moment: one of the two may be ended as a deadlock, and tries again. */
  async function dropped(statements: string): Promise<void> {
    await until(async () => {
      const failure = await server.psql(statements).then(
        () => undefined,
        (error: { code?: string }) => error,
      );
      if (failure && failure.code !== '40P01') throw failure;
      return !failure;
    }, statements);
  }

  test('of the schema change_feed alone', async () => {
    if (!usable) return;
    await run('pg_dump', ['-Fc', '-n', 'change_feed', '-f', dump, server.database.url]);
    await server.psql('insert into t values (51, 51)');
    await dropped('drop schema change_feed cascade');
    await restore();
    await server.psql(`select change_feed.watch('t')`);
    await expectRefetch(2);
  });

  test('after the schemas were dropped', async () => {
    if (!usable) return;
    await dropped('drop schema change_feed, public cascade; create schema public');
    await restore();
    await expectRefetch(2);
  });

  test('of the log alone', async () => {
    if (!usable) return;
    await server.psql('truncate change_feed.change');
    await restore('--data-only', '-n', 'change_feed', '-t', 'change');
    await expectRefetch(2);
  });

  test('of the data of the schema, over emptied tables', async () => {
    if (!usable) return;
    const { rows } =
      await server.psql(`select string_agg(format('change_feed.%I', relname), ', ') as names from pg_class
      where relnamespace = 'change_feed'::regnamespace and relkind = 'r'`);
    await server.psql(`truncate ${rows[0].names}`);
    await restore('--data-only', '-n', 'change_feed').catch(() => {}); // a server may have written a row before
    await until(() => resyncs().length > 0, 'a resync');
  });
});
