import { connect } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import type { EventStream } from '../event-stream.js';
import { useTestServer } from '../running-server.js';
import { until } from '../until.js';

const server = useTestServer();

const subscribe = async (body: unknown, token?: string) => {
  const response = await server.post('/api/events/subscribe', body, token);
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
  return { status: response.status, body: (await response.json()) as any };
};

describe('GET /api/events', () => {
  test('begins with headers that no proxy buffers, a jittered retry, and connected', async () => {
    const streams = await Promise.all(Array.from({ length: 5 }, () => server.stream('')));
    for (const stream of streams) await stream.clientId();
    const { headers } = (streams[0] as EventStream).response;
    expect(headers.get('Content-Type')).toBe('text/event-stream; charset=utf-8');
    expect(headers.get('Cache-Control')).toBe('no-cache, no-transform');
    expect(headers.get('X-Accel-Buffering')).toBe('no');
    const texts = streams.map((stream) => Buffer.concat(stream.received).toString());
    for (const text of texts) {
      expect(text).toMatch(
        /^retry: \d{4}\n\nid: [0-9a-f]+\.\d+:\d+:[\d,]*\nevent: connected\ndata: \{"clientId":"[\w.-]+","resumed":false,"heartbeatMs":30000\}\n\n$/,
      );
    }
    expect(new Set(texts.map((text) => text.slice(0, 11))).size).toBeGreaterThan(1);
  });

  test.each([
    ['resources=a%00b', 400],
    [`resources=${'x'.repeat(201)}`, 400],
    ['resources=a?b', 400],
    [`resources=${Array.from({ length: 101 }, (_, i) => `r${i}`).join(',')}`, 400],
  ])('%s is %i', async (query, status) => {
    const response = await fetch(`${server.url}/api/events?${query}`, {
      headers: { Authorization: `Bearer ${await server.token()}` },
    });
    expect(response.status).toBe(status);
    expect(await response.json()).toEqual({ error: { code: 'bad_request', message: expect.any(String) } });
  });

  test('limits a token to its resources, `*` among them, and resyncs as well', async () => {
    const headers = { Authorization: `Bearer ${await server.token({ resources: ['anmeldung'] })}` };
    const refused = await fetch(`${server.url}/api/events?resources=veranstaltung`, { headers });
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({ error: { code: 'forbidden' } });

    const all = await server.stream('resources=*', headers);
    await all.clientId();
    await server.psql(
      `select change_feed.emit('veranstaltung'), change_feed.emit('geheim'), change_feed.emit('anmeldung')`,
    );
    await until(() => all.updates.length === 1);
    const lost = await server.stream('resources=*', { ...headers, 'Last-Event-ID': '17' });
    await until(() => lost.updates.length === 1);
    const replayed = await server.stream('resources=*', {
      ...headers,
      'Last-Event-ID': (await all.next(() => true)).id ?? '',
    });
    await until(() => replayed.updates.length === 1);
    expect([all.updates, lost.updates, replayed.updates]).toEqual([['anmeldung'], ['anmeldung'], ['anmeldung']]);
  });

  test('a client that leaves before its answer costs nothing', async () => {
    const before = [...server.manager.clients()].length;
    const token = await server.token();
    await Promise.all(
      Array.from(
        { length: 50 },
        () =>
          new Promise<void>((resolve) => {
            const socket = connect(Number(new URL(server.url).port), '127.0.0.1', () => {
              socket.write(
                `GET /api/events?resources=* HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`,
                () => socket.destroy(),
              );
            });
            socket.on('close', () => resolve());
          }),
      ),
    );
    const probe = await server.stream('');
    await probe.clientId();
    await until(() => [...server.manager.clients()].length <= before + 1);
  });
});

describe('POST subscribe and unsubscribe', () => {
  test('say whether a table is watched under that name', async () => {
    const stream = await server.stream('');
    const clientId = await stream.clientId();
    expect((await subscribe({ clientId, resource: 'anmeldung' })).body).toEqual({
      success: true,
      resource: 'anmeldung',
      watched: true,
    });
    expect((await subscribe({ clientId, resource: 'anmeldugn' })).body).toEqual({
      success: true,
      resource: 'anmeldugn',
      watched: false,
    });
    expect((await subscribe({ clientId, resource: '*' })).body).toEqual({
      success: true,
      resource: '*',
      watched: true,
    });
    await server.psql(`select change_feed.emit('anmeldung')`);
    await until(() => stream.updates.length > 0);
    await server.psql(`select change_feed.emit('zaun')`);
    await stream.next(({ data }) => data.resource === 'zaun');
    // Subscribed twice, sent once
    expect(stream.updates).toEqual(['anmeldung', 'zaun']);
  });

  test('are 404 for a client that is not there, or of someone else', async () => {
    const stream = await server.stream('');
    const clientId = await stream.clientId();
    expect(await subscribe({ clientId: 'abc.def', resource: 'anmeldung' })).toMatchObject({ status: 404 });
    const other = await server.token({ sub: 'mallory' });
    expect(await subscribe({ clientId, resource: 'anmeldung' }, other)).toMatchObject({
      status: 404,
      body: { error: { code: 'not_found' } },
    });
    const response = await server.post('/api/events/unsubscribe', { clientId, resource: 'anmeldung' }, other);
    expect(response.status).toBe(404);
  });

  test('are 403 for a resource that the token does not allow', async () => {
    const limited = await server.token({ resources: ['anmeldung'] });
    const stream = await server.stream('', { Authorization: `Bearer ${limited}` });
    const clientId = await stream.clientId();
    expect(await subscribe({ clientId, resource: 'veranstaltung' }, limited)).toMatchObject({ status: 403 });
    expect(await subscribe({ clientId, resource: 'anmeldung' }, limited)).toMatchObject({ status: 200 });
  });

  test.each([
    [{}],
    [{ clientId: 7, resource: 'a' }],
    [{ clientId: 'a', resource: '' }],
    [{ clientId: 'a', resource: 'a\nb' }],
    [{ clientId: 'a', resource: 'a', since: '17' }],
    [{ clientId: 'a', resource: 'a', since: 7 }],
    [{ clientId: 'a', resource: 'a', mehr: 1 }],
  ])('%j is 400', async (body) => {
    expect(await subscribe(body)).toMatchObject({ status: 400, body: { error: { code: 'bad_request' } } });
  });
});

test('a change that more than 100 clients receive at once asks them to spread their refetches', async () => {
  const streams = await Promise.all(Array.from({ length: 101 }, () => server.stream('resources=gedraenge')));
  for (const stream of streams) await stream.clientId();
  await server.psql(`select change_feed.emit('gedraenge')`);
  const { data } = await (streams[100] as EventStream).next(({ event }) => event === 'table-update');
  expect(data).toMatchObject({ resource: 'gedraenge', operation: 'emit', spread: expect.any(Number) });
  for (const stream of streams) stream.close();
});

test('text of a user can not end a line and forge a field', async () => {
  const stream = await server.stream('resources=*');
  await stream.clientId();
  const data = { text: 'a\nevent: expired\ndata: {}\n\nid: 1\r\u2028' };
  await server.psql(
    `set application_name = E'x\\nevent: expired'; select change_feed.emit('fälschung', $$${JSON.stringify(data)}$$)`,
  );
  const event = await stream.next(({ data }) => data.resource === 'fälschung');
  expect(event.data.data).toEqual(data);
  expect(stream.events.some(({ event }) => event === 'expired')).toBe(false);
  await server.psql(`set application_name = 'psql'`);
});

test('data that is nested 6,000 deep is told whole, and ends no stream', async () => {
  const stream = await server.stream('resources=*');
  await stream.clientId();
  await server.psql(`select change_feed.emit('tief', (repeat('[', 6000) || repeat(']', 6000))::jsonb)`);
  const { data } = await stream.next((event) => event.data.resource === 'tief');
  let depth = 0;
  for (let inner = data.data; Array.isArray(inner); inner = inner[0]) depth += 1;
  expect(depth).toBe(6000);
  const again = await server.stream('resources=*', { 'Last-Event-ID': stream.events[0]?.id ?? '' });
  await again.next(({ data }) => data.resource === 'tief');
});

test('HEAD opens no stream, and leaves its connection to the next request', async () => {
  const headers = { Authorization: `Bearer ${await server.token()}` };
  const response = await fetch(`${server.url}/api/events`, { method: 'HEAD', headers });
  expect({ status: response.status, allow: response.headers.get('Allow') }).toEqual({ status: 405, allow: 'GET' });
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
});

test('a server that stops ends its streams, and refuses new ones', async () => {
  const other = await server.another();
  const headers = { Authorization: `Bearer ${await server.token()}` };
  const response = await fetch(`${other.url}/api/events?resources=*`, { headers });
  await other.manager.close();
  expect(await response.text()).toContain('event: connected');
  expect((await fetch(`${other.url}/api/events`, { headers })).status).toBe(503);
});
