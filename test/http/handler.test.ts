import { createServer, type IncomingMessage, type RequestListener, request, type Server } from 'node:http';
import { connect } from 'node:http2';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import express, { type Express } from 'express';
import pg from 'pg';
import { pino } from 'pino';
import { changeFeed } from '../../src/express/index.js';
import type { Caller } from '../../src/http/caller.js';
import { createChangeFeed, type FeedWithStreams } from '../../src/http/create-change-feed.js';
import { HttpError } from '../../src/http/http-error.js';
import { createStreamParser, openStream, type StreamEvent } from '../event-stream.js';
import { createTestDatabase, type TestDatabase } from '../test-database.js';
import { until } from '../until.js';
import { HOST_HEADER, startHttp2 } from './servers.js';

const ADA: Caller = { subject: 'ada', rights: '*' };

let database: TestDatabase;
let psql: pg.Client;
let feed: FeedWithStreams;
const servers: Server[] = [];
const lines: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  psql = new pg.Client(database.url);
  await psql.connect();
  feed = createChangeFeed({
    databaseUrl: database.url,
    logger: pino({ level: 'error' }, { write: (line: string) => lines.push(line) }),
  });
  await feed.start();
});

afterEach(() => {
  lines.length = 0;
  for (const http of servers.splice(0)) http.closeAllConnections();
});

afterAll(async () => {
  await feed.stop();
  await psql.end();
  await database.drop();
});

async function listen(listener: RequestListener): Promise<string> {
  const http = createServer(listener);
  servers.push(http);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
}

const statusOf = async (url: string, init?: RequestInit) => {
  const response = await fetch(url, init);
  await response.body?.cancel();
  return response.status;
};

describe.each([
  ['Express 5', express],
  ['Express 4', createRequire(import.meta.url)('express-4') as typeof express],
])('a mount path of %s', (_version, expressOf) => {
  test.each([
    ['/api/events', undefined, '/api/events'],
    ['/api', undefined, '/api/events'],
    ['/tenant', undefined, '/tenant/api/events'],
    ['/tenant', '/tenant/feed', '/tenant/feed'],
    ['/tenant', '/feed/', '/tenant/feed'],
  ])('%s and the path %s serve %s', async (mount, path, served) => {
    const app = expressOf();
    app.use(mount, changeFeed(feed, { caller: () => ADA, path }));
    const url = await listen(app);
    expect(await statusOf(`${url}${served}?resources=a`)).toBe(200);
    expect(await statusOf(`${url}${served}/?resources=a`)).toBe(200);
    expect(await statusOf(`${url}${served}/poll?resources=a&wait=0`)).toBe(200);
    expect(await statusOf(`${url}${served}/nothing`)).toBe(404);
    expect(await statusOf(`${url}/elsewhere`)).toBe(404);
  });
});

describe('a body that the application has read', () => {
  const body = JSON.stringify({ clientId: 'a', resource: 'a' });
  const headers = { 'Content-Type': 'application/json' };
  const subscribe = async (app: Express) => {
    app.use(changeFeed(feed, { caller: () => ADA }));
    return statusOf(`${await listen(app)}/api/events/subscribe`, { method: 'POST', headers, body });
  };

  test.each([
    ['as an object', express.json()],
    ['as a text', express.text({ type: '*/*' })],
    ['as bytes', express.raw({ type: '*/*' })],
    ['not at all', express.urlencoded({ extended: false })],
  ])('%s is read once', async (_how, parser) => {
    const app = express();
    app.use(parser);
    // It was understood: there is no stream a.
    expect(await subscribe(app)).toBe(404);
  });

  test('and was not read by a parser that leaves {} is read', async () => {
    const app = express();
    app.use((request, _response, next) => {
      request.body = {};
      next();
    });
    expect(await subscribe(app)).toBe(404);
  });

  test('and was dropped is a 500 that says so in the log', async () => {
    const app = express();
    app.use((request, _response, next) => {
      request.resume().on('end', next);
    });
    expect(await subscribe(app)).toBe(500);
    expect(lines.join('')).toContain('is not in request.body');
  });

  test('and that does not arrive whole opens nothing, and is no fault of the server', async () => {
    const handle = feed.handler({ caller: () => ADA });
    let ended = false;
    const url = await listen((incoming, response) => {
      void handle(incoming, response).then(() => {
        ended = true;
      });
      half.destroy();
    });
    const half = request(`${url}/api/events/subscribe`, {
      method: 'POST',
      headers: { ...headers, 'Content-Length': '100' },
    });
    half.on('error', () => {});
    half.write('{');
    await until(() => ended, 'the request to end');
    expect(lines).toEqual([]);
  });
});

describe('the caller', () => {
  const answerOf = async (caller: (request: IncomingMessage) => unknown) => {
    const handle = feed.handler({ caller: caller as () => Caller });
    const url = await listen((request, response) => void handle(request, response));
    const response = await fetch(`${url}/api/events?resources=anmeldung`);
    if (response.status === 200) {
      await response.body?.cancel();
      return { status: 200, message: '' };
    }
    const { error } = (await response.json()) as { error: { message: string } };
    return { status: response.status, message: error.message };
  };

  const cases: [string, () => unknown, number, RegExp][] = [
    ['a list with the resource', () => ({ subject: 'ada', rights: ['anmeldung'] }), 200, /^$/],
    ['everything', () => ({ subject: 'ada', rights: '*' }), 200, /^$/],
    ['a function that says yes', () => ({ subject: 'ada', rights: () => true }), 200, /^$/],
    ['a promise', async () => ADA, 200, /^$/],
    ['another list', () => ({ subject: 'ada', rights: ['veranstaltung'] }), 403, /does not allow/],
    ['a function that throws', () => ({ subject: 'ada', rights: () => fail(new Error('x')) }), 403, /does not allow/],
    ['an async function', () => ({ subject: 'ada', rights: async () => true }), 403, /does not allow/],
    ['nothing', () => undefined, 401, /Sign in/],
    ['null', () => null, 401, /Sign in/],
    ['false', () => false, 401, /Sign in/],
    ['no subject', () => ({ rights: '*' }), 401, /no valid subject/],
    ['an empty subject', () => ({ subject: '', rights: '*' }), 401, /no valid subject/],
    ['a subject that is a number', () => ({ subject: 7, rights: '*' }), 401, /no valid subject/],
    ['half a character as subject', () => ({ subject: '\ud800', rights: '*' }), 401, /no valid subject/],
    ['no rights', () => ({ subject: 'ada' }), 401, /no valid rights/],
    ['rights that are true', () => ({ subject: 'ada', rights: true }), 401, /no valid rights/],
    ['rights that are the name of a resource', () => ({ subject: 'ada', rights: 'anmeldung' }), 401, /no valid rights/],
    ['a list with a malformed topic', () => ({ subject: 'ada', rights: ['a?b'] }), 401, /no valid rights/],
    ['an end that is a date', () => ({ ...ADA, expiresAt: new Date() }), 401, /no valid expiresAt/],
    ['an HttpError', () => fail(new HttpError('unavailable', 'Später')), 503, /^Später$/],
    ['an error of a library', () => fail(Object.assign(new Error('x'), { status: 401 })), 401, /^unauthorized$/],
    ['an error of Fastify', () => fail(Object.assign(new Error('x'), { statusCode: 401 })), 401, /^unauthorized$/],
    ['any other error', () => fail(new Error('geheim')), 500, /^Something went wrong on the server$/],
  ];
  test.each(cases)('%s', async (_what, caller, status, message) => {
    const answer = await answerOf(caller);
    expect(answer.status).toBe(status);
    expect(answer.message).toMatch(message);
  });

  test('that is forgotten is refused at the start', () => {
    expect(() => feed.handler({} as never)).toThrow('caller: expected a function');
    expect(() => feed.respond(new Request('http://localhost/api/events'))).toThrow(
      'respond() needs the option respond',
    );
  });
});

test('OPTIONS is left to the application, which may answer a preflight', async () => {
  const handle = feed.handler({ caller: () => ADA });
  const url = await listen(async (request, response) => {
    if (!(await handle(request, response))) response.writeHead(204).end();
  });
  expect(await statusOf(`${url}/api/events`, { method: 'OPTIONS' })).toBe(204);
});

describe('HTTP/2', () => {
  test('a stream opens, resumes, subscribes, and ends with its client', async () => {
    const server = await startHttp2({
      databaseUrl: database.url,
      logger: pino({ level: 'silent' }),
      find: (header) => (header('x-key') ? { subject: 'ada', rights: '*' } : undefined),
    });
    const since = await server.feed.currentPosition();
    await psql.query(`select change_feed.emit('a'), change_feed.emit('b')`);
    const session = connect(server.url);
    const events: StreamEvent[] = [];
    const stream = session.request({
      ':path': `/api/events?resources=a&lastEventId=${since}`,
      'x-key': '1',
    });
    const headers: Record<string, unknown> = {};
    stream.on('response', (received) => Object.assign(headers, received));
    const parser = createStreamParser((event) => events.push(event));
    stream.on('data', (chunk) => parser.feed(chunk));
    await until(() => events.some(({ data }) => data.resource === 'a'));
    expect(headers).toMatchObject({ ':status': 200, [HOST_HEADER[0]]: HOST_HEADER[1] });

    // On the same connection, which HTTP/1 could not
    const { clientId } = events[0]?.data ?? {};
    const answer = await h2post(session, '/api/events/subscribe', { clientId, resource: 'b', since });
    expect(answer).toMatchObject({ status: 200, body: { success: true } });
    await until(() => events.some(({ data }) => data.resource === 'b'));
    expect(await h2post(session, '/api/events/subscribe', {})).toMatchObject({ status: 400 });
    stream.close();
    await until(() => server.feed.streams.clientCount === 0, 'the stream to be closed');
    session.close();
    await server.stop();
  });

  test('a page of the same origin may send cookies', async () => {
    const server = await startHttp2({
      databaseUrl: database.url,
      logger: pino({ level: 'silent' }),
      find: () => ADA,
    });
    const session = connect(server.url);
    const status = (origin: string) =>
      new Promise((resolve) => {
        const request = session.request({ ':path': '/api/events/poll?resources=a&wait=0', cookie: 'a=1', origin });
        request.on('response', (headers) => resolve(headers[':status'])).resume();
      });
    expect(await status(server.url)).toBe(200);
    expect(await status('https://evil.example')).toBe(403);
    session.close();
    await server.stop();
  });
});

test('a stream over HTTP/1 leaves nothing of its request to node:http, behind any framework', async () => {
  const app = express();
  app.use(changeFeed(feed, { caller: () => ADA }));
  const url = await listen(app);
  const stream = await openStream(`${url}/api/events?resources=a`);
  await stream.clientId();
  // Without chunks: the stream writes to the socket itself.
  expect(stream.response.headers.get('Transfer-Encoding')).toBeNull();
  stream.close();
});

function h2post(session: ReturnType<typeof connect>, path: string, body: object) {
  return new Promise<{ status: unknown; body: unknown }>((resolve) => {
    const request = session.request({
      ':method': 'POST',
      ':path': path,
      'x-key': '1',
      'content-type': 'application/json',
    });
    let status: unknown;
    let text = '';
    request.on('response', (headers) => {
      status = headers[':status'];
    });
    request.on('data', (chunk) => {
      text += chunk;
    });
    request.on('end', () => resolve({ status, body: JSON.parse(text) }));
    request.end(JSON.stringify(body));
  });
}

function fail(error: unknown): never {
  throw error;
}
