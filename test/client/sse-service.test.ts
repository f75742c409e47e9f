import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { type Change, SSEService, type SSEServiceOptions } from '../../src/client/index.js';
import { setOrigin } from '../../src/database/origin.js';
import type { RunningServer } from '../../src/koa/server.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { TcpProxy, targetOf } from '../tcp-proxy.js';
import { until } from '../until.js';

// A service and the real feed.

let server: TestServer;
let services: SSEService[];
let running: RunningServer;
let way: TcpProxy;

beforeEach(async () => {
  server = await startTestServer({ readIntervalMs: 1000 });
  running = server;
  way = await TcpProxy.open(() => targetOf(running.url));
  services = [];
});

afterEach(async () => {
  for (const service of services) service.disconnect();
  await way.close();
  await server.stop();
});

function open(options: SSEServiceOptions = {}): SSEService {
  const service = new SSEService({
    url: `http://127.0.0.1:${way.port}/api/events`,
    getToken: () => server.token(),
    retryBaseMs: 10,
    logger: { debug: () => {}, warn: () => {} },
    ...options,
  });
  services.push(service);
  return service;
}

/** Everything that a service says of a resource. */
function listen(service: SSEService, resource: string): Change[] {
  const heard: Change[] = [];
  service.on(resource, (change) => heard.push(change));
  return heard;
}

const emit = (resource: string) => server.psql('select change_feed.emit($1)', [resource]);
const subscriptions = (from: RunningServer = running) =>
  [...from.manager.clients()].map((client) => [...client.subscriptions.keys()].sort().join());

test('begins by telling that changes may have been missed, then tells each', async () => {
  const service = open();
  const heard = listen(service, 'veranstaltung');
  await until(() => service.status === 'connected');
  await server.psql(`insert into veranstaltung
    (name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr)
    values ('Lauf', '2030-07-01', '2030-07-01', now(), '2030-06-01', 5, 0)`);
  await until(() => heard.length === 2);
  expect(heard).toEqual([
    { resource: 'veranstaltung', reason: 'resync' },
    { resource: 'veranstaltung', operation: 'insert', keys: [expect.anything()], origin: { application: 'psql' } },
  ]);
});

test("begins where a list ends, when told the list's position: nothing is refetched for nothing", async () => {
  const list = await fetch(`${server.url}/api/veranstaltungen`, {
    headers: { Authorization: `Bearer ${await server.token()}` },
  });
  await emit('veranstaltung');
  const service = open({ lastEventId: list.headers.get('Change-Feed-Position') ?? '' });
  const heard = listen(service, 'veranstaltung');
  await until(() => heard.length > 0);
  expect(heard).toEqual([expect.objectContaining({ operation: 'emit' })]);
});

test('the server is stopped and started: what happened meanwhile is replayed', async () => {
  running = await server.another();
  const service = open();
  const heard = listen(service, 'a');
  await until(() => service.status === 'connected');
  await running.stop();
  await until(() => service.status === 'waiting');
  for (const resource of ['a', 'b', 'a']) await emit(resource);
  running = await server.another();
  await until(() => heard.length === 3);
  expect(heard.map(({ reason, operation }) => reason ?? operation)).toEqual(['resync', 'emit', 'emit']);
});

test('the token ends: it goes on with another, and nothing is lost', async () => {
  const reasons: string[] = [];
  const service = open({
    getToken: (reason) => {
      reasons.push(reason);
      return server.token({ expiresInS: reason === 'expired' ? 3600 : 5 });
    },
  });
  const heard = listen(service, 'a');
  let sent = 0;
  await until(() => service.status === 'connected');
  await until(async () => {
    await emit('a');
    sent += 1;
    return reasons.includes('expired') && service.status === 'connected';
  });
  await until(() => heard.filter(({ operation }) => operation === 'emit').length >= sent);
  expect(reasons).toEqual(['connect', 'expired']);
  expect(heard.filter(({ reason }) => reason === 'resync')).toHaveLength(1);
});

test('all resources go over one stream; listeners come and go, and the server knows', async () => {
  const service = open();
  listen(service, 'a');
  listen(service, 'b');
  await until(() => subscriptions().join() === 'a,b');
  const off = service.on('c', () => {});
  await until(() => subscriptions().join() === 'a,b,c');
  off();
  await until(() => subscriptions().join() === 'a,b');
  expect([...running.manager.clients()]).toHaveLength(1);
});

test('comes and goes faster than the server answers: the last word counts', async () => {
  const service = open();
  listen(service, 'a');
  await until(() => service.status === 'connected');
  for (let i = 0; i < 20; i += 1) service.on('b', () => {})();
  const heard = listen(service, 'c');
  for (let i = 0; i < 5; i += 1) {
    const off = service.on('d', () => {});
    if (i < 4) off();
  }
  await until(() => subscriptions().join() === 'a,c,d');
  await emit('c');
  await until(() => heard.some(({ operation }) => operation === 'emit'));
});

test('a change between the first listener and its subscribe is told', async () => {
  const service = open();
  listen(service, 'a');
  await until(() => service.status === 'connected' && service.lastEventId !== undefined);
  await emit('spaet');
  const before = service.lastEventId;
  const heard = listen(service, 'spaet');
  await until(() => subscriptions().join() === 'a,spaet');
  await until(() => heard.length > 0);
  expect(before).toBeDefined();
});

test('connections that are cut, again and again, lose nothing', async () => {
  const service = open();
  const seen = new Set<string>();
  service.on('*', ({ resource }) => seen.add(resource));
  await until(() => service.status === 'connected');
  for (let i = 0; i < 300; i += 1) {
    await emit(`zahl_${i}`);
    if (i % 30 === 0) way.cut();
    if (i % 30 === 15) service.connect();
  }
  await until(() => Array.from({ length: 300 }, (_, i) => i).every((i) => seen.has(`zahl_${i}`)));
});

test('what cannot be replayed is told once for each resource', async () => {
  const service = open({ lastEventId: 'gone.5:5:' });
  const [a, b] = [listen(service, 'a'), listen(service, 'b')];
  await until(() => a.length > 0 && b.length > 0);
  expect([a, b]).toEqual([[{ resource: 'a', reason: 'resync' }], [{ resource: 'b', reason: 'resync' }]]);
});

test('knows its own changes, also those of a stream that it had before', async () => {
  const service = open();
  const heard = listen(service, 'veranstaltung');
  await until(() => service.status === 'connected');
  const write = async (clientId: string | null) => {
    const before = heard.length;
    await fetch(`${server.url}/api/veranstaltungen`, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        Authorization: `Bearer ${await server.token()}`,
        'Change-Feed-Client': String(clientId),
      },
      body: JSON.stringify({
        name: 'Lauf',
        beginn: '2030-07-01',
        ende: '2030-07-01',
        meldebeginn: '2030-01-01T00:00:00Z',
        meldeschluss: '2030-06-01T00:00:00Z',
        maxTeilnehmende: 5,
        teilnahmegebuehr: 0,
      }),
    });
    await until(() => heard.length > before);
    return service.isOwn(heard.at(-1) as Change);
  };
  const clientId = service.clientId;
  expect(await write(clientId)).toBe(true);
  expect(await write('another')).toBe(false);
  way.cut();
  await until(() => service.status === 'connected' && service.clientId !== clientId);
  expect(await write(clientId)).toBe(true);
});

test('until() waits for what a write has changed, and isOwn() knows it, in an application of anybody', async () => {
  const service = open();
  const heard = listen(service, 'veranstaltung');
  await until(() => service.status === 'connected');
  for (let i = 0; i < 3; i += 1) {
    const written = await fetch(`${server.url}/api/veranstaltungen`, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        Authorization: `Bearer ${await server.token()}`,
        'Change-Feed-Client': service.clientId,
      },
      body: JSON.stringify({
        name: 'Lauf',
        beginn: '2030-07-01',
        ende: '2030-07-01',
        meldebeginn: '2030-01-01T00:00:00Z',
        meldeschluss: '2030-06-01T00:00:00Z',
        maxTeilnehmende: 5,
        teilnahmegebuehr: 0,
      }),
    });
    await service.until(written.headers.get('Change-Feed-Position'));
    const { id } = (await written.json()) as { id: number };
    expect(heard.at(-1)).toMatchObject({ operation: 'insert', keys: [id] });
    expect(service.isOwn(heard.at(-1) as Change)).toBe(true);
  }
  // Of a resource that nobody here listens to no event comes
  await emit('other');
  await service.until(await server.feed.currentPosition());
  await server.db.transaction().execute(async (transaction) => {
    await setOrigin(transaction, { actor: 'ada', client: service.clientId });
    await sql`select change_feed.emit('veranstaltung')`.execute(transaction);
  });
  await service.until(await server.feed.currentPosition());
  expect(heard.at(-1)?.origin).toMatchObject({ actor: 'ada', client: service.clientId });
  expect(service.isOwn(heard.at(-1) as Change)).toBe(true);
});

test('nobody listens any more: the stream is closed after a while, and the next listener opens one', async () => {
  const service = open();
  service.on('a', () => {})();
  const off = service.on('a', () => {});
  await until(() => service.status === 'connected');
  off();
  await until(() => subscriptions().join() === '');
  await until(() => service.status === 'idle');
  const heard = listen(service, 'a');
  await until(() => heard.length === 1);
});
