import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import pg from 'pg';
import { ChangeLog } from '../../src/feed/log/change-log.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { runAsAdmin } from '../test-database.js';
import { until } from '../until.js';

// Advisory locks need no right. A login without any takes all that it can see, and the feed continues.

const MALLORY = `mallory_${process.pid}`;

let server: TestServer;
const sessions: pg.Client[] = [];

beforeAll(async () => {
  // Periodic reads are off: what arrives came with a notification, or was read by an active leader.
  server = await startTestServer({ readIntervalMs: 0 });
  await server.psql(`create role ${MALLORY} login password '${MALLORY}'`);
  await server.psql(`create table zaehler (id int primary key); select change_feed.watch('zaehler')`);
  await until(() => server.feed.leader.idle, 'the leader to be idle');
});

beforeEach(takeEveryLock);

afterAll(async () => {
  for (const session of sessions) await session.end().catch(() => {});
  await server.stop();
  await runAsAdmin(`drop role ${MALLORY}`);
});

async function mallory(): Promise<pg.Client> {
  const url = new URL(server.database.url);
  url.username = MALLORY;
  url.password = MALLORY;
  const client = new pg.Client({ connectionString: url.href });
  client.on('error', () => {}); // dropping the database ends it
  await client.connect();
  sessions.push(client);
  return client;
}

/** Takes what can be had of each number in pg_locks and in the source of our functions, and waits for what cannot. */
async function takeEveryLock(): Promise<void> {
  for (const session of sessions.splice(0)) await session.end();
  const look = await mallory();
  const held = await look.query(`
    select distinct l.objsubid, l.classid::int8 as high, l.objid::int8 as low from pg_locks l
    where l.locktype = 'advisory' and l.database = (select oid from pg_database where datname = current_database())`);
  const numbers: [subid: number, high: number, low: number][] = held.rows.map(({ objsubid, high, low }) => [
    objsubid,
    Number(high),
    Number(low),
  ]);
  const named = await look.query(`
    select distinct (m[1])::int8 as number from pg_proc p, regexp_matches(p.prosrc, '\\m(\\d{5,10})\\M', 'g') m
    where p.pronamespace = (select oid from pg_namespace where nspname = 'change_feed')
    union select hashtext(m[1]) from pg_proc p, regexp_matches(p.prosrc, 'hashtext\\(''(\\w+)''\\)', 'g') m
    where p.pronamespace = (select oid from pg_namespace where nspname = 'change_feed')
    union select hashtext(w) from unnest('{change_feed,tick,prune,watch,migrate}'::text[]) w
    union select * from unnest('{1346847558,0,1,2,3}'::int8[])`);
  const parts = named.rows.map(({ number }) => Number(number) | 0);
  for (const high of parts) for (const low of parts) numbers.push([2, high, low]);
  for (const [subid, high, low] of numbers) {
    const key = subid === 1 ? `(${high}::int8 << 32 | ${low}::int8)` : `(${high | 0}, ${low | 0})`;
    const { rows } = await look.query(`select pg_try_advisory_lock${key} as taken`);
    await look.query(`select pg_try_advisory_lock_shared${key}`);
    if (rows[0].taken) continue;
    const waiting = await mallory();
    waiting.query(`select pg_advisory_lock${key}`).catch(() => {});
  }
}

let last = 0;
async function expectHeard(): Promise<void> {
  const stream = await server.stream('resources=zaehler');
  await stream.clientId();
  for (let i = 0; i < 3; i += 1) {
    last += 1;
    await server.psql('insert into zaehler values ($1)', [last]);
    const key = last;
    await stream.next(({ data }) => data.keys?.[0] === key);
  }
  stream.close();
}

test('changes are sent, and the leader becomes idle', async () => {
  await expectHeard();
  await until(() => server.feed.leader.idle, 'the leader to be idle');
  await expectHeard();
});

test('a leader that is gone is followed by another', async () => {
  const leader = async () => (await server.psql('select pid from change_feed.current_leader')).rows[0]?.pid;
  const before = await leader();
  await server.psql('select pg_terminate_backend($1)', [before]);
  await until(async () => ![undefined, before].includes(await leader()), 'another leader');
  await until(() => server.feed.leader.idle, 'the leader to be idle');
  await expectHeard();
});

test('ticks are noted, and the log is pruned', async () => {
  const log = new ChangeLog(server.database.url, () => {});
  await server.psql(`update change_feed.tick set at = at - interval '1 hour'`);
  await expectHeard();
  await log.prune(60, 1_000_000);
  const { rows } = await server.psql(
    `select count(*)::int as ticks from change_feed.tick where at > clock_timestamp() - interval '1 min'`,
  );
  expect(rows).toEqual([{ ticks: 1 }]);
  await server.psql(`update change_feed.tick set at = at - interval '1 hour'`);
  expect(await log.prune(60, 1_000_000)).toBeGreaterThan(0);
  await log.close();
});

test('tables are watched and unwatched', async () => {
  const { rows } = await server
    .psql(`create table noch_eine (id int primary key); select change_feed.watch('noch_eine') as said`)
    .then((results) => [results].flat()[1] as pg.QueryResult);
  expect(rows[0].said).toBe("watching public.noch_eine as 'noch_eine'");
  await server.psql(`select change_feed.unwatch('noch_eine')`);
});

test('no lock of a table or a row of the feed can be had without a right', async () => {
  const { rows } = await server.psql(
    `select format('change_feed.%I', relname) as relation from pg_class
      where relnamespace = 'change_feed'::regnamespace and relkind in ('r', 'v')`,
  );
  expect(rows.length).toBeGreaterThan(10);
  const session = await mallory();
  await server.psql(`grant usage on schema change_feed to ${MALLORY}`);
  for (const { relation } of rows) {
    for (const statement of [
      `lock table ${relation} in access share mode`,
      `lock table ${relation} in share update exclusive mode`,
      `lock table ${relation} in access exclusive mode`,
      `select from ${relation} for share`,
      `select from ${relation} for update`,
    ]) {
      await session.query('begin');
      await expect(session.query(statement)).rejects.toMatchObject({ code: '42501' });
      await session.query('rollback');
    }
  }
  await server.psql(`revoke usage on schema change_feed from ${MALLORY}`);
});
