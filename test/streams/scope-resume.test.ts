import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { ChangeLog } from '../../src/feed/log/change-log.js';
import type { RunningServer } from '../../src/koa/server.js';
import type { Client } from '../../src/streams/client.js';
import { until } from '../until.js';
import { FENCE, startTenantServer, type TenantServer, toldOf } from './tenants.js';

// Subscribers of a scope that were away, that come late, or that read slowly.

let server: TenantServer;
/** A server that keeps no changes in memory. */
let forgetful: RunningServer;
const replay = jest.spyOn(ChangeLog.prototype, 'replay');

beforeAll(async () => {
  server = await startTenantServer();
  forgetful = await server.another({ recentChanges: 0 });
});

beforeEach(async () => {
  await server.psql('truncate rechnung, mandant; insert into mandant values (7), (8), (9)');
  replay.mockClear();
});

afterAll(() => server.stop());

const scope = (mandant_id: string) => ({ resource: 'rechnung', scope: { mandant_id } });
const seven = scope('7');

/** Returns the events that somebody who was away receives of these statements, up to now. */
async function missed(topics: string[], statements: string, at: string, token?: string): Promise<object[]> {
  const away = await server.follow(topics, token === undefined ? {} : { token });
  const [before = 0] = await server.reached([away]);
  const since = away.events[before]?.id ?? '';
  away.close();
  await server.psql(statements);
  const witness = await server.follow([], { at });
  await server.reached([witness]);
  const stream = await server.follow(topics, { at, since, ...(token !== undefined && { token }) });
  const [end = 0] = await server.reached([stream]);
  return stream.events
    .slice(1, end)
    .map(toldOf)
    .filter(({ resource }) => resource !== 'zaun');
}

const others = (count: number) => `do $$ begin for i in 1 .. ${count} loop
  insert into rechnung values (1000 + i, 8); end loop; end $$;`;

describe.each([
  ['memory', () => server.url, 0],
  ['the log', () => forgetful.url, 1],
] as const)('from %s', (_name, at, reads) => {
  test('a scope receives what it missed, and nothing of others', async () => {
    const statements = 'insert into rechnung values (1, 7), (2, 8); delete from rechnung where id = 2';
    expect(await missed(['rechnung?mandant_id=7'], statements, at())).toEqual([
      { ...seven, operation: 'insert', keys: [1] },
    ]);
    expect(replay).toHaveBeenCalledTimes(reads);
  });

  test('of two scopes and a whole resource it comes one by one, each in its order', async () => {
    const topics = ['rechnung?mandant_id=8', 'rechnung?mandant_id=7', 'mandant', 'notiz'];
    const statements = `insert into rechnung values (1, 7); select change_feed.emit('notiz'); insert into rechnung values (2, 8), (3, 7)`;
    expect(await missed(topics, statements, at())).toEqual([
      { resource: 'notiz', operation: 'emit' },
      { ...seven, operation: 'insert', keys: [1] },
      { ...seven, operation: 'insert', keys: [3] },
      { ...scope('8'), operation: 'insert', keys: [2] },
    ]);
  });

  test('* receives what its rights name', async () => {
    const token = await server.token({ resources: ['rechnung?mandant_id=7', FENCE] });
    const statements = `insert into rechnung values (1, 7), (2, 8); select change_feed.emit('notiz')`;
    expect(await missed(['*'], statements, at(), token)).toEqual([{ ...seven, operation: 'insert', keys: [1] }]);
  });

  test('who has the whole resource, too, receives it once', async () => {
    const told = await missed(
      ['rechnung?mandant_id=7', 'rechnung'],
      'insert into rechnung values (1, 7), (2, 8)',
      at(),
    );
    expect(told).toEqual([{ resource: 'rechnung', operation: 'insert', keys: [1, 2] }]);
  });
});

test('a scope receives from the log its own changes, also where others made so many that they are summed up', async () => {
  const statements = `insert into rechnung values (1, 7); ${others(300)} insert into rechnung values (2, 7)`;
  expect(await missed(['rechnung?mandant_id=7'], statements, forgetful.url)).toEqual([
    { ...seven, operation: 'insert', keys: [1] },
    { ...seven, operation: 'insert', keys: [2] },
  ]);
});

test('a position that cannot be resumed is a resync for the own scope, and once for a resource that comes as a whole', async () => {
  const topics = ['rechnung?mandant_id=7', 'rechnung?name=a', 'mandant', 'mandant?id=7'];
  const stream = await server.follow(topics, { since: 'garbage' });
  await server.reached([stream]);
  expect(stream.events.filter(({ data }) => data.reason).map(toldOf)).toEqual([
    { ...seven, reason: 'resync' },
    { resource: 'rechnung', scope: { name: 'a' }, reason: 'resync' },
    { resource: 'mandant', reason: 'resync' },
    { resource: 'zaun', scope: { x: '1' }, reason: 'resync' },
  ]);
  const token = await server.token({ resources: ['rechnung?mandant_id=7', FENCE] });
  const every = await server.follow(['*'], { since: 'garbage', token });
  await server.reached([every]);
  const told = every.events.filter(({ data }) => data.reason).map(toldOf);
  expect(told).toContainEqual({ ...seven, reason: 'resync' });
  expect(told.every(({ resource }) => resource === 'zaun' || resource === 'rechnung')).toBe(true);
});

test('a subscription by POST to any server replays from its position, and joins what is live', async () => {
  const stream = await server.follow([]);
  const clientId = await stream.clientId();
  const since = await server.feed.currentPosition();
  await server.psql('insert into rechnung values (1, 7), (2, 8)');
  const answer = await fetch(`${forgetful.url}/api/events/subscribe`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${await server.token()}` },
    body: JSON.stringify({ clientId, resource: 'rechnung?mandant_id=%37', since }),
  });
  expect(await answer.json()).toEqual({ success: true, resource: 'rechnung?mandant_id=7', watched: true });
  const told = await server.eventsOf([stream], 'insert into rechnung values (3, 7), (4, 8)');
  expect(told).toEqual([[{ ...seven, operation: 'insert', keys: [3] }]]);
  expect(stream.events.filter(({ data }) => data.resource === 'rechnung').map(toldOf)).toEqual([
    { ...seven, operation: 'insert', keys: [1] },
    { ...seven, operation: 'insert', keys: [3] },
  ]);
  const unwatched = await server.post('/api/events/subscribe', { clientId, resource: 'auswertung?jahr=2030' });
  expect(await unwatched.json()).toEqual({ success: true, resource: 'auswertung?jahr=2030', watched: false });
});

test('the whole resource that ends while a replay runs leaves its scope told', async () => {
  const stream = await server.follow(['rechnung', 'rechnung?mandant_id=7']);
  const clientId = await stream.clientId();
  const since = await server.feed.currentPosition();
  // Live changes wait for the replay of another subscription to the same resource.
  const held = jest.spyOn(server.feed, 'changesSince');
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const original = held.getMockImplementation() ?? server.feed.changesSince.bind(server.feed);
  held.mockRestore();
  const slow = jest.spyOn(server.feed, 'changesSince').mockImplementation(async (from, resources) => {
    await gate;
    slow.mockRestore();
    return original(from, resources);
  });
  const subscribed = server.post('/api/events/subscribe', { clientId, resource: 'rechnung?mandant_id=8', since });
  await until(() => slow.mock.calls.length > 0);
  await server.psql('insert into rechnung values (1, 7)');
  const witness = await server.follow([]);
  await server.reached([witness]);
  await server.post('/api/events/unsubscribe', { clientId, resource: 'rechnung' });
  release();
  await subscribed;
  await server.reached([stream]);
  expect(stream.events.filter(({ data }) => data.resource === 'rechnung').map(toldOf)).toContainEqual(seven);
});

test('a client that does not read costs the name of its scope, and is told to refetch that one', async () => {
  const fast = await server.follow(['rechnung']);
  await server.reached([fast]);
  const before = new Set(server.manager.clients());
  const slow = connect(Number(new URL(server.url).port), '127.0.0.1');
  slow.pause();
  const query = 'resources=rechnung%3Fmandant_id%3D7,rechnung%3Fmandant_id%3D8,fuellung';
  slow.write(`GET /api/events?${query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${await server.token()}\r\n\r\n`);
  const slowClient = () => [...server.manager.clients()].find((client) => !before.has(client));
  await until(() => slowClient() !== undefined);
  const stalled = slowClient() as Client;
  // Until the socket's buffers are full, the kernel's among them; those may still grow for a while.
  for (let id = 1; stalled.behind < 2; id += 1) {
    while (stalled.behind === 0) await server.psql(`select change_feed.emit('fuellung', to_jsonb(repeat('x', 60000)))`);
    await server.eventsOf([fast], `insert into rechnung values (${id}, 7)`);
  }
  let text = '';
  slow.on('data', (chunk) => {
    text += chunk.toString();
  });
  slow.resume();
  await until(() => text.includes('{"resource":"rechnung","scope":{"mandant_id":"7"}}'));
  expect(text).not.toContain('"mandant_id":"8"');
  slow.destroy();
});
