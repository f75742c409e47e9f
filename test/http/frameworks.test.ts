import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import type { Rights } from '../../src/streams/rights.js';
import { type EventStream, openStream } from '../event-stream.js';
import { createTestDatabase, type TestDatabase } from '../test-database.js';
import { until } from '../until.js';
import { type FrameworkServer, HOST_HEADER, SERVERS } from './servers.js';

// The same feed in each framework: its answers are the same, and the application's headers stay.

const RIGHTS: Readonly<Record<string, Rights>> = { ada: '*', grace: ['anmeldung'] };
/** Finds the caller of a request: the tests' application knows its callers by a key. */
const find = async (header: (name: string) => string | undefined) => {
  const subject = header('x-key') ?? '';
  const rights = RIGHTS[subject];
  // As late as a look into a session store would be
  await new Promise((resolve) => setImmediate(resolve));
  return rights && { subject, rights };
};

let database: TestDatabase;
let psql: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase();
  psql = new pg.Client(database.url);
  await psql.connect();
});

afterAll(async () => {
  await psql.end();
  await database.drop();
});

describe.each(Object.entries(SERVERS))('in %s', (name, start) => {
  let server: FrameworkServer;
  const streams: EventStream[] = [];

  beforeAll(async () => {
    server = await start({
      databaseUrl: database.url,
      logger: pino({ level: 'silent' }),
      find: find as never,
      limits: { maxStreamsPerSubject: 3, maxSubscriptions: 5, maxPostsPerS: 20 },
      allowedOrigins: ['https://app.example.org'],
    });
  });

  afterAll(async () => {
    for (const stream of streams) stream.close();
    await server.stop();
  });

  async function open(query: string, headers: Record<string, string> = {}): Promise<EventStream> {
    const stream = await openStream(`${server.url}/api/events?${query}`, { 'x-key': 'ada', ...headers });
    streams.push(stream);
    await stream.clientId();
    return stream;
  }

  async function ask(method: string, path: string, headers: Record<string, string> = {}, body?: string) {
    const response = await fetch(server.url + path, {
      method,
      headers: { 'x-key': 'ada', ...headers },
      body: body ?? null,
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text.startsWith('{') ? JSON.parse(text) : text };
  }

  const post = (path: string, body: unknown, headers = {}) =>
    ask('POST', path, { 'Content-Type': 'application/json', ...headers }, JSON.stringify(body));

  const leave = async (stream: EventStream) => {
    const before = server.feed.streams.clientCount;
    stream.close();
    await until(() => server.feed.streams.clientCount < before, 'the stream to be closed');
  };

  test('a stream opens with its headers and those of the application, and receives changes', async () => {
    const stream = await open('resources=anmeldung');
    expect(stream.response.headers.get('Content-Type')).toBe('text/event-stream; charset=utf-8');
    expect(stream.response.headers.get('Cache-Control')).toBe('no-cache, no-transform');
    expect(stream.response.headers.get('X-Accel-Buffering')).toBe('no');
    expect(stream.response.headers.get(HOST_HEADER[0])).toBe(HOST_HEADER[1]);
    await psql.query(`select change_feed.emit('anmeldung', '{"a": 1}')`);
    const event = await stream.next(({ event }) => event === 'table-update');
    expect(event.data).toMatchObject({ resource: 'anmeldung', operation: 'emit', data: { a: 1 } });
    await leave(stream);
  });

  test('a stream resumes, and subscribes by POST to what it missed', async () => {
    const since = await server.feed.currentPosition();
    await psql.query(`select change_feed.emit('anmeldung'), change_feed.emit('veranstaltung')`);
    const stream = await open('resources=anmeldung', { 'Last-Event-ID': since });
    await until(() => stream.updates.length === 1);
    const clientId = await stream.clientId();
    const answer = await post('/api/events/subscribe', { clientId, resource: 'veranstaltung', since });
    expect(answer).toMatchObject({ status: 200, body: { success: true, resource: 'veranstaltung', watched: true } });
    expect(answer.headers.get(HOST_HEADER[0])).toBe(HOST_HEADER[1]);
    expect(stream.updates).toEqual(['anmeldung', 'veranstaltung']);
    expect((await post('/api/events/unsubscribe', { clientId, resource: 'veranstaltung' })).status).toBe(200);
    await leave(stream);
  });

  test('a poll answers', async () => {
    const since = await server.feed.currentPosition();
    await psql.query(`select change_feed.emit('anmeldung')`);
    const { status, body } = await ask('GET', `/api/events/poll?resources=anmeldung&lastEventId=${since}`);
    expect({ status, events: body.events.length }).toEqual({ status: 200, events: 1 });
  });

  test('a poll ends with its client', async () => {
    const since = await server.feed.currentPosition();
    // Three at once are all that one subject may have.
    const left = new AbortController();
    const polls = Array.from({ length: 3 }, () =>
      fetch(`${server.url}/api/events/poll?resources=still&lastEventId=${since}`, {
        headers: { 'x-key': 'ada' },
        signal: left.signal,
      }).catch(() => 'left'),
    );
    await until(async () => (await ask('GET', '/api/events/poll?resources=still&wait=0')).status === 429);
    left.abort();
    expect(await Promise.all(polls)).toEqual(['left', 'left', 'left']);
    await until(async () => (await ask('GET', '/api/events/poll?resources=still&wait=0')).status === 200);
  });

  test.each([
    ['GET', '/api/events', { 'x-key': 'nobody' }, undefined, 401, 'unauthorized'],
    ['GET', '/api/events?resources=veranstaltung', { 'x-key': 'grace' }, undefined, 403, 'forbidden'],
    ['GET', '/api/events?resources=a%00', {}, undefined, 400, 'bad_request'],
    ['DELETE', '/api/events', {}, undefined, 405, 'method_not_allowed'],
    ['GET', '/api/events/subscribe', {}, undefined, 405, 'method_not_allowed'],
    ['POST', '/api/events/subscribe', { 'Content-Type': 'application/json' }, '{}', 400, 'bad_request'],
    ['POST', '/api/events/subscribe', { 'Content-Type': 'text/plain' }, '{}', 415, 'unsupported_media_type'],
    [
      'POST',
      '/api/events/subscribe',
      { 'Content-Type': 'application/json' },
      '{"clientId":"a","resource":"a"}',
      404,
      'not_found',
    ],
  ] as const)('%s %s with %j is an error', async (method, path, headers, body, status, code) => {
    const answer = await ask(method, path, headers, body);
    expect(answer).toMatchObject({ status, body: { error: { code, message: expect.any(String) } } });
    expect(answer.headers.get('Cache-Control')).toBe('no-store');
    expect(answer.headers.get(HOST_HEADER[0])).toBe(HOST_HEADER[1]);
  });

  // A parser of the application answers in its own way.
  const ownParser = name === 'Express' ? test.skip : test;
  ownParser.each([
    ['that is no JSON', '{', 400],
    ['that is no UTF-8', Buffer.from('{"clientId":"\xff"}', 'latin1'), 400],
    ['of over 64 kB', JSON.stringify('x'.repeat(70_000)), 413],
  ])('a body %s is refused', async (_what, body, status) => {
    const response = await fetch(`${server.url}/api/events/subscribe`, {
      method: 'POST',
      headers: { 'x-key': 'ada', 'Content-Type': 'application/json' },
      body,
    });
    expect({ status: response.status, body: await response.json() }).toMatchObject({ status, body: { error: {} } });
  });

  test('HEAD opens no stream', async () => {
    const response = await fetch(`${server.url}/api/events`, { method: 'HEAD', headers: { 'x-key': 'ada' } });
    expect({ status: response.status, allow: response.headers.get('Allow') }).toEqual({ status: 405, allow: 'GET' });
  });

  test('other paths are those of the application', async () => {
    expect(await ask('GET', '/other')).toMatchObject({ status: 200, body: 'other' });
    for (const path of ['/api/events/other', '/api/eventsource', '/API/events', '/api/events/subscribe/x']) {
      expect((await ask('GET', path)).status).toBe(404);
    }
  });

  test('limits hold: streams of one subject, subscriptions of one stream, requests per second', async () => {
    const opened = [await open(''), await open(''), await open('')];
    expect((await ask('GET', '/api/events')).status).toBe(429);
    const clientId = await (opened[0] as EventStream).clientId();
    for (const resource of ['a', 'b', 'c', 'd', 'e']) {
      expect((await post('/api/events/subscribe', { clientId, resource })).status).toBe(200);
    }
    const one = await post('/api/events/subscribe', { clientId, resource: 'f' });
    expect(one.body.error.message).toMatch('as many subscriptions as it may');
    const many = Array.from({ length: 300 }, () => post('/api/events/subscribe', { clientId, resource: 'a' }));
    const refused = (await Promise.all(many)).filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0]?.body.error.message).toMatch(/per second/);
    for (const stream of opened) await leave(stream);
  });

  test('a page of another origin may not call with cookies', async () => {
    const path = '/api/events/poll?resources=a&wait=0';
    const cookie = { cookie: 'session=1' };
    expect((await ask('GET', path, { ...cookie, 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    expect((await ask('GET', path, { ...cookie, origin: 'https://evil.example' })).status).toBe(403);
    expect((await ask('GET', path, { ...cookie, origin: 'https://app.example.org' })).status).toBe(200);
    expect((await ask('GET', path, { ...cookie, origin: server.url })).status).toBe(200);
    expect((await ask('GET', path, { 'sec-fetch-site': 'cross-site' })).status).toBe(200);
  });

  test('it stops: streams end, polls answer, and no connection stays', async () => {
    const stopping = await start({
      databaseUrl: database.url,
      logger: pino({ level: 'silent' }),
      find: find as never,
      limits: { maxStreamsPerSubject: 2 },
    });
    const stream = await openStream(`${stopping.url}/api/events?resources=a`, { 'x-key': 'ada' });
    await stream.clientId();
    const since = await server.feed.currentPosition();
    const headers = { 'x-key': 'ada', Connection: 'close' };
    const poll = fetch(`${stopping.url}/api/events/poll?resources=a&lastEventId=${since}`, { headers });
    const isFull = async () => {
      const { status } = await fetch(`${stopping.url}/api/events/poll?resources=a&wait=0`, { headers });
      return status === 429;
    };
    await until(isFull, 'the poll to wait');
    await stopping.stop();
    await until(stream.ended, 'the stream to end');
    expect((await poll).status).toBe(200);
  });
});
