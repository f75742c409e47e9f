import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import type { RunningServer } from '../../src/koa/server.js';
import { type EventStream, openStream } from '../event-stream.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { TcpProxy, targetOf } from '../tcp-proxy.js';
import { databaseUrl, runAsAdmin } from '../test-database.js';
import { until } from '../until.js';

// Rights that are withdrawn: streams end at every server, whoever withdraws them.

let server: TestServer;
let other: RunningServer;
const streams: EventStream[] = [];

beforeAll(async () => {
  server = await startTestServer();
  other = await server.another();
});

afterAll(async () => {
  for (const stream of streams) stream.close();
  await server.stop();
});

async function open(at: RunningServer, sub: string): Promise<EventStream> {
  const stream = await openStream(`${at.url}/api/events?resources=a&token=${await server.token({ sub })}`);
  streams.push(stream);
  await stream.clientId();
  return stream;
}

async function isRevoked(stream: EventStream): Promise<void> {
  await until(() => stream.ended(), 'the stream to end');
  expect(stream.events.at(-1)).toMatchObject({ event: 'revoked', data: {} });
}

const endInSql = (subject: string) => server.psql('select change_feed.end_streams($1) as servers', [subject]);

test('by psql, streams of the subject end at every server, and those of others stay', async () => {
  const ended = await Promise.all([open(server, 'ada'), open(server, 'ada'), open(other, 'ada')]);
  const stays = await Promise.all([open(server, 'grace'), open(other, 'grace')]);
  expect((await endInSql('ada')).rows).toEqual([{ servers: 2 }]);
  await Promise.all(ended.map(isRevoked));
  await server.psql(`select change_feed.emit('a')`);
  for (const stream of stays) await until(() => stream.updates.length === 1);
  expect(server.manager.counts.closed['its rights were withdrawn']).toBe(2);
});

test('an order is carried out once: a stream that opens after it stays, also when others follow', async () => {
  await endInSql('ada');
  const first = await open(server, 'zeuge');
  const again = await open(server, 'ada');
  await endInSql('zeuge');
  await isRevoked(first);
  expect(again.ended()).toBe(false);
});

test('a server that starts does not take the orders of before for its own streams', async () => {
  await endInSql('ada');
  const late = await server.another();
  const stream = await open(late, 'ada');
  const witness = await open(late, 'zeuge');
  await endInSql('zeuge');
  await isRevoked(witness);
  expect(stream.ended()).toBe(false);
});

test('an order that rolls back ends nothing', async () => {
  const stream = await open(server, 'ada');
  const witness = await open(server, 'zeuge');
  await server.psql(`begin; select change_feed.end_streams('ada'); rollback`);
  await endInSql('zeuge');
  await isRevoked(witness);
  expect(stream.ended()).toBe(false);
});

test('a poll that waits is 403 with a code of its own', async () => {
  const limited = await server.another({ maxStreamsPerSubject: 1 });
  const since = await server.feed.currentPosition();
  const token = await server.token({ sub: 'wartend' });
  const ask = (query: string) => fetch(`${limited.url}/api/events/poll?resources=a&token=${token}&${query}`);
  const poll = ask(`lastEventId=${since}`);
  await until(async () => (await ask('wait=0')).status === 429, 'the poll to wait');
  await endInSql('wartend');
  expect(await (await poll).json()).toMatchObject({ error: { code: 'revoked' } });
  expect((await poll).status).toBe(403);
  expect((await ask('wait=0')).status).toBe(200);
});

test('a server whose listener was away ends the streams when it is back', async () => {
  const proxy = await TcpProxy.open(() => targetOf(server.database.url));
  const away = await server.another({ listenDatabaseUrl: proxy.through(server.database.url) });
  const stream = await open(away, 'ada');
  proxy.goSilent({ allNew: true });
  proxy.bury();
  await until(() => !away.feed.health.listener, 'the listener to be lost');
  await endInSql('ada');
  proxy.speak();
  proxy.bury();
  await isRevoked(stream);
  await away.stop();
  await proxy.close();
});

test('a subject that is no text of 1 to 200 characters is refused', async () => {
  for (const subject of ['', null, 'x'.repeat(201)]) {
    await expect(server.psql('select change_feed.end_streams($1)', [subject])).rejects.toThrow(
      'subject: expected text',
    );
  }
});

test('who has no right on the feed ends nothing, and reads nothing of it', async () => {
  const role = `gast_${server.feed.instanceId}`;
  await runAsAdmin(`create role ${role} login password 'gast'`);
  const url = new URL(databaseUrl(new URL(server.database.url).pathname.slice(1)));
  url.username = role;
  url.password = 'gast';
  const guest = new pg.Client(url.href);
  await guest.connect();
  const heard: (string | undefined)[] = [];
  guest.on('notification', ({ payload }) => heard.push(payload));
  await guest.query('listen change_feed');
  await expect(guest.query(`select change_feed.end_streams('ada')`)).rejects.toThrow('permission denied');
  await expect(guest.query('select * from change_feed.ended_streams()')).rejects.toThrow('permission denied');
  const stream = await open(server, 'streng geheim');
  await endInSql('streng geheim');
  await isRevoked(stream);
  await until(() => heard.includes('*'), 'the guest to hear that there is an order');
  expect(heard.join()).not.toMatch(/geheim/);
  // To send the same says nothing, and ends nothing.
  const witness = await open(server, 'ada');
  for (let i = 0; i < 100; i += 1) await guest.query(`select pg_notify('change_feed', '*')`);
  await server.psql(`select change_feed.emit('a')`);
  await until(() => witness.updates.length === 1);
  expect(witness.ended()).toBe(false);
  await guest.end();
  await runAsAdmin(`drop role ${role}`);
});

test('orders do not pile up: each deletes those that are older than a minute', async () => {
  await server.psql(`update change_feed.call set at = at - interval '2 min'`);
  await endInSql('ada');
  const { rows } = await server.psql(`select count(*)::int as orders from change_feed.call where server = '*'`);
  expect(rows).toEqual([{ orders: 1 }]);
});
