import { execFile } from 'node:child_process';
import { chmod, mkdtemp, realpath, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { createDatabase } from '../../../src/app/database.js';
import { migrateChangeFeed } from '../../../src/database/migrate.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../src/embedded/embedded-postgres.js';
import { ChangeLog } from '../../../src/feed/log/change-log.js';
import { parsePosition } from '../../../src/feed/log/position.js';
import { signToken } from '../../../src/http/token.js';
import { type RunningServer, startServer } from '../../../src/koa/server.js';
import { type EventStream, openStream } from '../../event-stream.js';
import { until } from '../../until.js';

// Clean restarts of Postgres, and data folders that were copied while it was stopped and put back later.

const SECRET = 'a secret of the tests, long enough for HS256';
const settings = { fsync: 'off', autovacuum: 'off' };

let dataDir: string;
let postgres: EmbeddedPostgres;
let port: number;
let server: RunningServer | undefined;
const streams: EventStream[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'restart-'));
  await chmod(dataDir, 0o711);
  postgres = await startEmbeddedPostgres({ dataDir, port: 0, settings });
  port = postgres.port;
  const db = createDatabase(postgres.url);
  await migrateChangeFeed(db);
  await db.destroy();
  await sql(`create table t (id int primary key); select change_feed.watch('t')`);
});

afterEach(async () => {
  for (const stream of streams.splice(0)) stream.close();
  await server?.stop();
  server = undefined;
  await postgres.stop();
  await rm(dataDir, { recursive: true, force: true });
});

async function sql(text: string): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  try {
    return await client.query(text);
  } finally {
    await client.end();
  }
}

const start = async () => {
  postgres = await startEmbeddedPostgres({ dataDir, port, settings });
};
const restart = async () => {
  await postgres.stop();
  await start();
};
const folder = () => realpath(join(dataDir, 'postgres'));
/** Copies the data folder while Postgres is stopped. */
async function copy(): Promise<string> {
  await postgres.stop();
  const to = `${await folder()}-copy`;
  await promisify(execFile)('cp', ['-a', await folder(), to]);
  await start();
  return to;
}
async function putBack(from: string): Promise<void> {
  await postgres.stop();
  const to = await folder();
  await rm(to, { recursive: true });
  await rename(from, to);
  await start();
}
/** Uses up transaction ids. */
const burn = (ids: number) =>
  sql(`do $$ begin for i in 1 .. ${ids} loop perform pg_current_xact_id(); commit; end loop; end $$`);

async function serve(): Promise<RunningServer> {
  server = await startServer({
    databaseUrl: postgres.url,
    host: '127.0.0.1',
    port: 0,
    jwtSecret: SECRET,
    jwtToleranceS: 0,
    queryToken: true,
    defaultResources: '*',
    corsOrigins: [],
    heartbeatS: 30,
    readIntervalMs: 50,
    logRetentionS: 86_400,
    logMaxRows: 10_000_000,
    logger: pino({ level: 'silent' }),
  });
  return server;
}

/** The server has read since the last start of Postgres. */
const served = () =>
  until(
    async () => server?.feed.health.database === true && (await sql('table change_feed.epoch_in_force')).rowCount === 1,
    'the server to read',
  );

async function open(lastEventId?: string): Promise<EventStream> {
  const token = await signToken({ sub: 'ada', expiresInS: 3600, secret: SECRET });
  const stream = await openStream(`${server?.url}/api/events?resources=*`, {
    Authorization: `Bearer ${token}`,
    ...(lastEventId && { 'Last-Event-ID': lastEventId }),
  });
  streams.push(stream);
  await stream.clientId();
  return stream;
}
const resumed = (stream: EventStream) => stream.events.find(({ event }) => event === 'connected')?.data.resumed;
const keys = (stream: EventStream) => stream.events.flatMap(({ data }) => data.keys ?? []);
const epochOf = (id: string | undefined) => id?.split('.')[0];
/** The id that the stream has, once it is of another epoch. */
async function nextEpoch(stream: EventStream, before: string | undefined): Promise<string> {
  const id = () =>
    [
      ...Buffer.concat(stream.received)
        .toString()
        .matchAll(/^id: (\S+)$/gm),
    ].at(-1)?.[1] ?? before;
  await until(() => epochOf(id()) !== epochOf(before), 'an id of another epoch');
  return id() ?? '';
}

test('a clean restart keeps all: live streams and clients that come back miss nothing, and refetch nothing', async () => {
  await serve();
  const live = await open();
  const away = await open();
  const left = away.lastEventId();
  away.close();
  await sql('insert into t values (1)');
  await until(() => keys(live).includes(1));
  for (let i = 2; i <= 4; i += 1) {
    await restart();
    await sql(`insert into t values (${i})`);
    await until(() => keys(live).includes(i), `key ${i}`);
  }
  expect(live.events.filter(({ data }) => data.reason)).toEqual([]);
  expect(keys(live)).toEqual([1, 2, 3, 4]);
  const back = await open(left);
  await until(() => keys(back).length >= 4);
  expect({ resumed: resumed(back), keys: keys(back) }).toEqual({ resumed: true, keys: [1, 2, 3, 4] });
  await sql('insert into t values (5)');
  await until(() => keys(back).includes(5) && keys(live).includes(5));
  expect(keys(back)).toEqual([1, 2, 3, 4, 5]);
});

test('a server that starts after restarts knows the positions of before', async () => {
  await serve();
  const stream = await open();
  const left = stream.lastEventId();
  stream.close();
  await server?.stop();
  await sql('insert into t values (1)');
  await restart();
  await restart();
  await sql('insert into t values (2)');
  await serve();
  await restart();
  await served();
  const back = await open(left);
  await until(() => keys(back).length >= 2);
  expect({ resumed: resumed(back), keys: keys(back) }).toEqual({ resumed: true, keys: [1, 2] });
});

test('a data folder that is put back under a running server ends the epochs since its copy, and no earlier one', async () => {
  await serve();
  const live = await open();
  const old = live.lastEventId();
  await sql('insert into t values (1)');
  await until(() => keys(live).includes(1));
  const saved = await copy();
  const second = await nextEpoch(live, old);
  await sql('insert into t values (2), (3)');
  await until(() => keys(live).includes(3));
  await restart();
  const third = await nextEpoch(live, second);
  await sql('delete from t where id = 1');
  await until(() => live.updates.length === 3);
  const before = live.events.length;

  await putBack(saved);
  await live.next(({ data }) => data.reason === 'resync' && data.resource === 't');
  expect(live.events.slice(0, before).filter(({ data }) => data.reason)).toEqual([]);
  // Others have the ids of what was lost
  await burn(2000);
  await sql('insert into t values (10)');
  await until(() => keys(live).includes(10));
  const { rows } = await sql('select pg_snapshot_xmin(pg_current_snapshot())::text as xmin');
  for (const id of [second, third]) {
    expect(parsePosition(id)?.xmax).toBeLessThan(BigInt(rows[0].xmin));
    expect(resumed(await open(id))).toBe(false);
  }
  // What was sent before the copy was made is in it.
  const back = await open(old);
  expect(resumed(back)).toBe(true);
  await until(() => keys(back).includes(10));
  expect(keys(back)).toEqual([1, 10]);
});

test('a client that resumed after the copy was made, and keeps its place for a while, is lost too', async () => {
  await serve();
  const stream = await open();
  const left = stream.lastEventId();
  stream.close();
  const saved = await copy();
  await served();
  await sql('insert into t values (1)');
  const back = await open(left);
  await until(() => keys(back).includes(1));
  // Held at its old snapshot, but in an epoch that the copy does not know
  expect(epochOf(back.lastEventId())).not.toBe(epochOf(left));
  await putBack(saved);
  await burn(2000);
  await served();
  expect(resumed(await open(back.lastEventId()))).toBe(false);
});

test('a data folder that is put back while no server runs ends what came after it', async () => {
  await serve();
  const stream = await open();
  const old = stream.lastEventId();
  const saved = await copy();
  const second = await nextEpoch(stream, old);
  await sql('insert into t values (1)');
  await until(() => keys(stream).includes(1));
  const id = stream.lastEventId();
  stream.close();
  await server?.stop();
  await putBack(saved);
  await burn(1000);
  await restart();
  await burn(1000);
  await serve();
  await served();
  for (const lost of [second, id]) expect(resumed(await open(lost))).toBe(false);
  expect(resumed(await open(old))).toBe(true);
});

test('of many restarts the last hundred are known, and none that the horizon has passed', async () => {
  const log = new ChangeLog(postgres.url, () => {});
  await log.begin();
  // As by as many restarts: each changes when the epoch's Postgres was started.
  for (let i = 0; i < 130; i += 1) {
    await sql(`do $$ begin
      create temp table kept on commit drop as select * from change_feed.epoch;
      delete from change_feed.epoch;
      insert into change_feed.epoch (id, started_at, database, log, earlier)
      select id, started_at - interval '1 s', database, log, earlier from kept;
      perform change_feed.ensure_epoch();
    end $$`);
  }
  const earlier = async () =>
    (await sql('select count(*)::int as n from change_feed.epoch_in_force, jsonb_object_keys(earlier)')).rows[0].n;
  expect(await earlier()).toBe(100);
  await sql(`insert into change_feed.horizon (tick, snapshot) select 1, pg_current_snapshot()`);
  await log.close();
  await restart();
  const again = new ChangeLog(postgres.url, () => {});
  await again.begin();
  expect(await earlier()).toBe(1);
  await again.close();
});
