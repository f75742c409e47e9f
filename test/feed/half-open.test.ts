import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import pg from 'pg';
import { AdaptiveTimeout } from '../../src/feed/log/adaptive-timeout.js';
import { ChangeLog } from '../../src/feed/log/change-log.js';
import { openStream } from '../event-stream.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { TcpProxy, targetOf } from '../tcp-proxy.js';
import { until } from '../until.js';

let server: TestServer;
let way: TcpProxy;

beforeEach(async () => {
  server = await startTestServer({ recentChanges: 0 });
  way = await TcpProxy.open(() => targetOf(server.database.url));
});

afterEach(async () => {
  way.bury(); // or stopping would wait for them
  await server.stop();
  await way.close();
});

test('connections that are cut without a FIN are given up: nobody stays stale', async () => {
  const other = await server.another({ databaseUrl: way.through(server.database.url), readIntervalMs: 1000 });
  const authorization = { Authorization: `Bearer ${await server.token()}` };
  const stream = await openStream(`${other.url}/api/events?resources=*`, authorization);
  await stream.clientId();
  await server.psql(`select change_feed.emit('vorher')`);
  await stream.next(({ data }) => data.resource === 'vorher');
  // One that comes back has been answered from the log, on connections that are about to die, too.
  const before = await openStream(`${other.url}/api/events?resources=*`, {
    ...authorization,
    'Last-Event-ID': stream.lastEventId() ?? '',
  });
  await before.clientId();
  before.close();
  const left = stream.lastEventId() ?? '';

  const cut = performance.now();
  way.goSilent();
  await server.psql(`select change_feed.emit('waehrenddessen')`);
  const resuming = await openStream(`${other.url}/api/events?resources=*`, { ...authorization, 'Last-Event-ID': left });
  await Promise.all([stream, resuming].map((each) => each.next(({ data }) => data.resource === 'waehrenddessen')));
  // 5 s where the machine is not busy; the next longer limit of the feed is 30 s
  expect(performance.now() - cut).toBeLessThan(20_000);
  await until(() => other.feed.health.listener && other.feed.health.database, 'listening again');
  stream.close();
  resuming.close();
});

test('the first read of a flood gives up a dead connection as soon as any other', async () => {
  const log = new ChangeLog(way.through(server.database.url), () => {});
  const start = await log.begin();
  // So many that the next read sums up, for the first time
  await server.psql(
    `insert into change_feed.change (resource, details) select 'viele', '{update}' from generate_series(1, 150)`,
  );
  const { position } = await log.read(start);
  way.goSilent();
  const begun = performance.now();
  await expect(log.read(position)).rejects.toThrow('Query read timeout');
  // 2 s where the machine is not busy; 35 s without a read before
  expect(performance.now() - begun).toBeLessThan(20_000);
  way.bury();
  await log.close();
});

test('who asks for a position does not wait for what is lost on dead connections', async () => {
  const log = new ChangeLog(way.through(server.database.url), () => {});
  const both = () => [1, 2].map(() => log.query('select pg_sleep(0.1)').catch(() => {}));
  await Promise.all(both());
  way.goSilent();
  const lost = both();
  expect((await log.position()).epoch).toBe(server.feed.position.epoch);
  await Promise.all(lost);
  await log.close();
});

test('a query that is slow, and not lost, gets more time with each attempt', async () => {
  const pool = new pg.Pool({ connectionString: server.database.url, max: 1 });
  const slow = new AdaptiveTimeout<{ waited: string }>(pool, { text: 'select pg_sleep($1)::text as waited' });
  await slow.ask([0]);
  await expect(slow.ask([4])).rejects.toThrow('Query read timeout');
  // Enough with the second attempt; a busy machine needs the third, and the time of before would never be enough
  expect(await slow.ask([4]).catch(() => slow.ask([4]))).toHaveLength(1);
  await pool.end();
});

test('a read that never was answered may take as long as it needs', async () => {
  const log = new ChangeLog(server.database.url, () => {});
  const start = await log.begin();
  await server.psql('begin; lock table change_feed.change in access exclusive mode');
  const reading = log.read(start);
  const commit = delay(3500).then(() => server.psql('commit'));
  expect((await reading).lost).toBe(false);
  await commit;
  await log.close();
});
