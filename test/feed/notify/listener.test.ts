import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { createDatabase } from '../../../src/app/database.js';
import { migrateChangeFeed } from '../../../src/database/migrate.js';
import { startEmbeddedPostgres } from '../../../src/embedded/embedded-postgres.js';
import { ChangeFeed } from '../../../src/feed/change-feed.js';
import { openStream } from '../../event-stream.js';
import { startTestServer } from '../../running-server.js';
import { TcpProxy, targetOf } from '../../tcp-proxy.js';
import { until } from '../../until.js';

test('with the periodic read off, an UPDATE in psql reaches the client at once: it is notified of', async () => {
  const server = await startTestServer({ readIntervalMs: 0 });
  const stream = await server.stream('resources=zaehler');
  await stream.clientId();
  await server.psql(
    `create table zaehler (id int primary key); select change_feed.watch('zaehler'); insert into zaehler values (0)`,
  );
  await until(() => stream.updates.length === 1);
  const delays: number[] = [];
  for (let i = 1; i <= 20; i += 1) {
    const before = stream.events.length;
    const begun = performance.now();
    await server.psql('update zaehler set id = id + 1');
    await until(() => stream.events.length > before, 'the event');
    delays.push(performance.now() - begun);
  }
  // 5 ms where the machine is not busy. A read by a timer would take 1 s, the interval of the shortest.
  expect(delays.sort((a, b) => a - b)[10]).toBeLessThan(1000);
  await server.stop();
});

test('a LISTEN that fails after a reconnect is tried anew: pg-listen itself would stay deaf', async () => {
  const server = await startTestServer({ readIntervalMs: 0 });
  const query = pg.Client.prototype.query;
  let failures = 0;
  const failing = jest.spyOn(pg.Client.prototype, 'query').mockImplementation(function (
    this: pg.Client,
    ...args: unknown[]
  ) {
    if (!String(args[0]).startsWith('LISTEN') || failures === 2)
      return (query as (...all: unknown[]) => unknown).apply(this, args);
    failures += 1;
    return Promise.reject(new Error('cannot execute LISTEN during recovery'));
  } as typeof query);
  await server.psql(`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name = 'pg-change-feed listener'`);
  await until(() => failures === 2 && server.feed.health.listener, 'listening again');
  failing.mockRestore();
  const stream = await server.stream('resources=*');
  await stream.clientId();
  await server.psql(`select change_feed.emit('gehoert')`);
  await stream.next(({ data }) => data.resource === 'gehoert');
  await server.stop();
});

test('what is rung while the connection that listens is away is read when it is back', async () => {
  const server = await startTestServer({ readIntervalMs: 0 });
  const way = await TcpProxy.open(() => targetOf(server.database.url));
  // Not the lead, which reads by itself while it can't hear.
  const other = await server.another({ databaseUrl: way.through(server.database.url) });
  const stream = await openStream(`${other.url}/api/events?resources=*`, {
    Authorization: `Bearer ${await server.token()}`,
  });
  await stream.clientId();
  way.goSilent({ allNew: true });
  way.bury();
  await until(() => !other.feed.health.listener, 'the loss');
  await server.psql(`select change_feed.emit('waehrenddessen')`);
  await until(() => server.feed.health.database && server.feed.position.xmax > other.feed.position.xmax, 'its ring');
  way.speak();
  way.bury();
  await stream.next(({ data }) => data.resource === 'waehrenddessen');
  stream.close();
  await server.stop();
  await way.close();
});

test('where transactions can be prepared no writer rings, none fails, and the feed looks by itself', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'prepared-'));
  await chmod(dataDir, 0o711);
  const postgres = await startEmbeddedPostgres({
    dataDir,
    port: 0,
    settings: { fsync: 'off', max_prepared_transactions: '5' },
  });
  const db = createDatabase(postgres.url);
  await migrateChangeFeed(db);
  const psql = new pg.Client({ connectionString: postgres.url });
  await psql.connect();
  const silent = () => {};
  const feed = new ChangeFeed({
    listenDatabaseUrl: postgres.url,
    notify: (channel, payload) => psql.query('select pg_notify($1, $2)', [channel, payload]),
    readIntervalMs: 0,
    logger: { debug: silent, info: silent, warn: silent, error: silent },
  });
  await feed.start();
  const heard: string[] = [];
  feed.listen({ onChanges: (changes) => heard.push(...changes.map(({ resource }) => resource)), onLost: silent });
  await psql.query(`begin; select change_feed.emit('vorbereitet'); prepare transaction 'eins'`);
  await psql.query(`select change_feed.emit('sofort')`);
  await until(() => heard.includes('sofort'));
  await psql.query(`commit prepared 'eins'`);
  await until(() => heard.includes('vorbereitet'));
  expect(heard).toEqual(['sofort', 'vorbereitet']);
  await feed.stop();
  await psql.end();
  await db.destroy();
  await postgres.stop();
  await rm(dataDir, { recursive: true, force: true });
});
