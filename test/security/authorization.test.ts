import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import Koa from 'koa';
import { pino } from 'pino';
import type { Authorize } from '../../src/http/authorize.js';
import { type ClaimsOptions, callerOfClaims } from '../../src/http/caller.js';
import { createChangeFeed, type FeedWithStreams } from '../../src/http/create-change-feed.js';
import { changeFeedRoutes } from '../../src/koa/change-feed-routes.js';
import type { RunningServer } from '../../src/koa/server.js';
import { authorizeByRights } from '../../src/streams/rights.js';
import { type EventStream, openStream } from '../event-stream.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { until } from '../until.js';

// The rights to receive resources, and their end.

let server: TestServer;
const streams: EventStream[] = [];

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(async () => {
  for (const stream of streams) stream.close();
  await server.stop();
});

const emit = (resource: string) => server.psql('select change_feed.emit($1)', [resource]);

async function open(at: RunningServer, token: string, query: string, headers = {}): Promise<EventStream> {
  const stream = await openStream(`${at.url}/api/events?${query}`, { Authorization: `Bearer ${token}`, ...headers });
  streams.push(stream);
  await stream.clientId();
  return stream;
}

async function statusOf(at: RunningServer, token: string, path: string, body?: object): Promise<number> {
  const response = await fetch(at.url + path, {
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    ...(body && { method: 'POST', body: JSON.stringify(body) }),
  });
  if (response.headers.get('Content-Type')?.startsWith('text/event-stream')) await response.body?.cancel();
  return response.status;
}

describe('a path in other letters', () => {
  const paths = ['/API/anmeldungen', '/Api/Anmeldungen/1', '/API/events', '/API/events/subscribe', '/API'];

  test.each(paths)('%s is not open without a token', async (path) => {
    for (const method of ['GET', 'POST', 'PATCH', 'DELETE']) {
      expect((await fetch(server.url + path, { method })).status).toBe(401);
    }
  });

  test.each([...paths, '/api/Anmeldungen', '/api/ANMELDUNGEN/1', '/api/Events'])('%s is nothing', async (path) => {
    const Authorization = `Bearer ${await server.token({ resources: ['veranstaltung'] })}`;
    for (const method of ['GET', 'DELETE']) {
      expect((await fetch(server.url + path, { method, headers: { Authorization } })).status).toBe(404);
    }
  });
});

describe('a token limited to a resource', () => {
  test('gets no other by its URL, by POST, by resuming, through `*`, or over REST', async () => {
    const token = await server.token({ resources: ['anmeldung'] });
    const since = await server.feed.currentPosition();
    const stream = await open(server, token, 'resources=*');
    const clientId = await stream.clientId();
    expect(await statusOf(server, token, '/api/events?resources=veranstaltung')).toBe(403);
    expect(await statusOf(server, token, '/api/events?resources=anmeldung,veranstaltung')).toBe(403);
    expect(await statusOf(server, token, `/api/events?resources=veranstaltung&lastEventId=${since}`)).toBe(403);
    const subscribe = { clientId, resource: 'veranstaltung' };
    expect(await statusOf(server, token, '/api/events/subscribe', subscribe)).toBe(403);
    expect(await statusOf(server, token, '/api/events/subscribe', { ...subscribe, since })).toBe(403);
    expect(await statusOf(server, token, '/api/veranstaltungen')).toBe(403);
    expect(await statusOf(server, token, '/api/veranstaltungen/1')).toBe(403);
    expect(await statusOf(server, token, '/api/veranstaltungen', {})).toBe(403);
    expect(await statusOf(server, token, '/api/anmeldungen')).toBe(200);

    await emit('veranstaltung');
    await emit('anmeldung');
    const resumed = await open(server, token, 'resources=*', { 'Last-Event-ID': since });
    const lost = await open(server, token, 'resources=*', { 'Last-Event-ID': 'nonsense' });
    for (const one of [stream, resumed, lost]) {
      await until(() => one.updates.length > 0);
      expect(new Set(one.updates)).toEqual(new Set(['anmeldung']));
    }
  });

  test('is not widened by a name that looks like its own', async () => {
    const token = await server.token({ resources: ['anmeldung'] });
    for (const resource of ['anmeldung ', ' anmeldung', 'Anmeldung', 'anmeldung\0', 'anmeldung\n', 'ａnmeldung']) {
      expect([400, 403]).toContain(
        await statusOf(server, token, `/api/events?resources=${encodeURIComponent(resource)}`),
      );
    }
  });

  test('to none receives nothing', async () => {
    const token = await server.token({ resources: [] });
    expect(await statusOf(server, token, '/api/anmeldungen')).toBe(403);
    const stream = await open(server, token, 'resources=*');
    const witness = await open(server, await server.token(), 'resources=*');
    await emit('anmeldung');
    await until(() => witness.updates.length === 1);
    expect(stream.updates).toEqual([]);
  });
});

test('a token without the claim gets DEFAULT_RESOURCES', async () => {
  const strict = await server.another({ defaultResources: ['anmeldung'] });
  const token = await server.token();
  expect(await statusOf(strict, token, '/api/anmeldungen')).toBe(200);
  expect(await statusOf(strict, token, '/api/veranstaltungen')).toBe(403);
  expect(await statusOf(strict, token, '/api/events?resources=veranstaltung')).toBe(403);
  const named = await server.token({ resources: ['veranstaltung'] });
  expect(await statusOf(strict, named, '/api/veranstaltungen')).toBe(200);
});

test('a wider token of the same person does not widen a stream: it would outlive that token', async () => {
  const stream = await open(server, await server.token({ resources: ['anmeldung'] }), '');
  const wide = await server.token({ resources: ['*'], expiresInS: 60 });
  const subscribe = { clientId: await stream.clientId(), resource: 'veranstaltung' };
  expect(await statusOf(server, wide, '/api/events/subscribe', subscribe)).toBe(403);
  const other = await server.another();
  expect(await statusOf(other, wide, '/api/events/subscribe', subscribe)).toBe(403);
});

test('a narrower token of the same person does not subscribe a wider stream to what it does not allow', async () => {
  const stream = await open(server, await server.token(), '');
  const narrow = await server.token({ resources: ['anmeldung'] });
  const subscribe = { clientId: await stream.clientId(), resource: 'veranstaltung' };
  expect(await statusOf(server, narrow, '/api/events/subscribe', subscribe)).toBe(403);
});

test("somebody else's stream is not subscribed, not unsubscribed, and not known to exist", async () => {
  const stream = await open(server, await server.token(), 'resources=anmeldung');
  const clientId = await stream.clientId();
  const mallory = await server.token({ sub: 'mallory' });
  const answers = [];
  for (const id of [clientId, `${clientId.slice(0, -1)}_`]) {
    for (const action of ['subscribe', 'unsubscribe']) {
      const response = await server.post(`/api/events/${action}`, { clientId: id, resource: 'anmeldung' }, mallory);
      const body = (await response.text()).replaceAll(id, 'ID');
      answers.push(`${response.status} ${body}`);
    }
  }
  expect(new Set(answers).size).toBe(1);
  expect(answers[0]).toMatch(/^404 /);
  await emit('anmeldung');
  await until(() => stream.updates.length === 1);
});

describe('authorize of another application', () => {
  const lines: string[] = [];
  let asked: string[] = [];
  let decide: Authorize;
  let own: RunningServer;

  beforeAll(async () => {
    own = await server.another({
      authorize: (claims, resource) => {
        asked.push(`${claims.sub} ${resource}`);
        return decide(claims, resource);
      },
      logger: pino({ level: 'error' }, { write: (line: string) => lines.push(line) }),
    });
  });

  beforeEach(() => {
    asked = [];
    lines.length = 0;
  });

  test('is asked at connect, subscribe and resume, for `*`, and for REST', async () => {
    decide = ({ sub, abteilung }, resource) => sub === 'ada' && resource === abteilung;
    const { SignJWT } = await import('jose');
    const token = await new SignJWT({ sub: 'ada', abteilung: 'anmeldung' })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(new TextEncoder().encode(server.secret));
    const since = await server.feed.currentPosition();
    await emit('veranstaltung');
    await emit('anmeldung');
    expect(await statusOf(own, token, '/api/events?resources=veranstaltung')).toBe(403);
    expect(asked).toEqual(['ada veranstaltung']);
    expect(await statusOf(own, token, '/api/veranstaltungen')).toBe(403);
    expect(await statusOf(own, token, '/api/anmeldungen')).toBe(200);
    const stream = await open(own, token, 'resources=*', { 'Last-Event-ID': since });
    await until(() => stream.updates.includes('anmeldung'));
    const clientId = await stream.clientId();
    expect(await statusOf(own, token, '/api/events/subscribe', { clientId, resource: 'veranstaltung' })).toBe(403);
    expect(await statusOf(own, token, '/api/events/subscribe', { clientId, resource: 'anmeldung' })).toBe(200);
    await emit('geheim');
    await until(() => asked.includes('ada geheim'), 'authorize to be asked');
    expect(new Set(stream.updates)).toEqual(new Set(['anmeldung']));
  });

  const failures: [string, Authorize, RegExp][] = [
    [
      'that throws',
      () => {
        throw new Error('nachgesehen');
      },
      /nachgesehen/,
    ],
    ['that is async, and so always truthy', (async () => true) as unknown as Authorize, /expected true or false/],
    ['that answers with text', (() => 'no') as unknown as Authorize, /expected true or false/],
    ['that answers with nothing', (() => undefined) as unknown as Authorize, /expected true or false/],
  ];
  test.each(failures)(
    '%s lets nothing pass, breaks no other stream, and stands in the log',
    async (_n, wrong, text) => {
      decide = ({ sub }, resource) => (sub === 'falsch' ? wrong({ sub }, resource) : true);
      const token = await server.token({ sub: 'falsch' });
      expect(await statusOf(own, token, '/api/events?resources=anmeldung')).toBe(403);
      expect(await statusOf(own, token, '/api/anmeldungen')).toBe(403);
      const stream = await open(own, token, 'resources=*');
      const witness = await open(own, await server.token(), 'resources=*');
      await emit('anmeldung');
      await until(() => witness.updates.length > 0);
      expect(witness.events.at(-1)?.data).toMatchObject({ resource: 'anmeldung', operation: 'emit' });
      expect(stream.updates).toEqual([]);
      expect(lines.join('')).toMatch(text);
    },
  );
});

describe('callerOfClaims', () => {
  const allowedBy = (resources: unknown, options?: ClaimsOptions) => {
    const { rights } = callerOfClaims({ sub: 'ada', ...(resources !== undefined && { resources }) }, options);
    return ['actor', 'film', 'film_actor'].filter((name) => authorizeByRights(rights, name));
  };

  test.each([
    ['a name', ['actor'], ['actor']],
    ['names', ['actor', 'film'], ['actor', 'film']],
    ['none', [], []],
    ['everything', '*', ['actor', 'film', 'film_actor']],
    ['everything, in a list', ['*'], ['actor', 'film', 'film_actor']],
    ['nothing said', undefined, []],
  ])('allows for %s no more than that', (_name, resources, allowed) => {
    expect(allowedBy(resources)).toEqual(allowed);
  });

  test('allows a token without the claim what the application says', () => {
    expect(allowedBy(undefined, { defaultResources: ['actor'] })).toEqual(['actor']);
    expect(allowedBy(['film'], { defaultResources: '*' })).toEqual(['film']);
    const authorize: Authorize = ({ sub }, resource) => sub === 'ada' && resource === 'film';
    expect(allowedBy('*', { authorize })).toEqual(['film']);
  });

  test('ends with the token, and as much later as the application accepts it', () => {
    expect(callerOfClaims({ sub: 'ada', exp: 1000 }).expiresAt).toBe(1_000_000);
    expect(callerOfClaims({ sub: 'ada', exp: 1000 }, { toleranceS: 5 }).expiresAt).toBe(1_005_000);
    expect(callerOfClaims({ sub: 'ada' }).expiresAt).toBeUndefined();
  });
});

describe('claims, in an application of its own and in ours', () => {
  const given: { claims: unknown } = { claims: {} };
  let feed: FeedWithStreams;
  let http: Server;
  let url: string;

  beforeAll(async () => {
    feed = createChangeFeed({ databaseUrl: server.database.url, logger: pino({ level: 'silent' }) });
    await feed.start();
    const app = new Koa();
    const caller = () => callerOfClaims(given.claims, { defaultResources: '*' });
    app.use(changeFeedRoutes(feed, { caller }).routes());
    http = createServer(app.callback());
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  });

  afterAll(async () => {
    await feed.stop();
    http.closeAllConnections();
  });

  async function answerTo(claims: unknown, at: 'its own' | 'ours') {
    const { SignJWT } = await import('jose');
    given.claims = claims;
    const signed = () =>
      new SignJWT(claims as object as Record<string, unknown>)
        .setProtectedHeader({ alg: 'HS256' })
        .sign(new TextEncoder().encode(server.secret));
    const response =
      at === 'ours'
        ? await fetch(`${server.url}/api/events?resources=actor&token=${await signed()}`)
        : await fetch(`${url}/api/events?resources=actor`);
    if (response.status === 200) await response.body?.cancel();
    return { status: response.status, text: response.status === 200 ? '' : await response.text() };
  }

  const malformed: [string, object, RegExp][] = [
    [
      'resources that are text',
      { sub: 'ada', resources: 'film_actor' },
      /malformed claim resources: expected \* or a list/,
    ],
    ['resources that are null', { sub: 'ada', resources: null }, /malformed claim resources/],
    ['resources that are an object', { sub: 'ada', resources: { includes: 'x' } }, /malformed claim resources/],
    ['a number among them', { sub: 'ada', resources: ['actor', 7] }, /malformed claim resources/],
    ['a list among them', { sub: 'ada', resources: [['actor']] }, /malformed claim resources/],
    ['too many', { sub: 'ada', resources: Array(1001).fill('a') }, /malformed claim resources: .* at most 1000 names/],
    ['no sub', { resources: '*' }, /has no sub: expected text/],
    ['an empty sub', { sub: '' }, /has no sub: expected text/],
    ['half a character as sub', { sub: '\ud800' }, /has no sub: expected text/],
  ];
  test.each(malformed)('%s: 401, and it says which', async (_name, claims, message) => {
    for (const at of ['its own', 'ours'] as const) {
      const { status, text } = await answerTo(claims, at);
      expect({ at, status }).toEqual({ at, status: 401 });
      expect(text).toMatch(message);
    }
  });

  test.each([
    ['sub alone, as `token` without --resources makes it', { sub: 'ada' }, 200],
    ['a list', { sub: 'ada', resources: ['actor'] }, 200],
    ['*', { sub: 'ada', resources: '*' }, 200],
    ['another list', { sub: 'ada', resources: ['film_actor'] }, 403],
    ['an empty list', { sub: 'ada', resources: [] }, 403],
  ])('%s', async (_name, claims, status) => {
    for (const at of ['its own', 'ours'] as const)
      expect({ at, ...(await answerTo(claims, at)) }).toMatchObject({ status });
  });

  test('a million names cost no more than one', async () => {
    expect((await answerTo({ sub: 'ada', resources: Array(1_000_000).fill('a') }, 'its own')).status).toBe(401);
  });

  test('none at all: 401, as for a token that is only text', async () => {
    for (const claims of [undefined, null, 'ada', 7, []]) expect((await answerTo(claims, 'its own')).status).toBe(401);
  });

  test('a claim __proto__ gives no right', async () => {
    const claims = JSON.parse('{"sub":"ada","resources":[],"__proto__":{"resources":"*"}}') as object;
    expect((await answerTo(claims, 'its own')).status).toBe(403);
    const none = JSON.parse('{"__proto__":{"sub":"ada"}}') as object;
    expect((await answerTo(none, 'its own')).status).toBe(401);
  });
});

describe('a stream does not outlive its token', () => {
  // exp counts whole seconds: with 5 it holds for four at least
  const short = () => server.token({ expiresInS: 5 });
  const isOver = async (stream: EventStream) => {
    await until(() => stream.ended(), 'the stream to end');
    expect(stream.events.at(-1)?.event).toBe('expired');
    expect([...server.manager.clients()].some(({ closed }) => closed)).toBe(false);
  };

  test('that subscribed by POST with a newer one', async () => {
    const stream = await open(server, await short(), '');
    const clientId = await stream.clientId();
    expect(await statusOf(server, await server.token(), '/api/events/subscribe', { clientId, resource: 'a' })).toBe(
      200,
    );
    await isOver(stream);
    expect(await statusOf(server, await server.token(), '/api/events/subscribe', { clientId, resource: 'a' })).toBe(
      404,
    );
  });

  test('that came by the query, and resumed', async () => {
    const since = await server.feed.currentPosition();
    const stream = await openStream(`${server.url}/api/events?resources=*&token=${await short()}&lastEventId=${since}`);
    await isOver(stream);
  });

  test('under changes without end', async () => {
    const stream = await open(server, await short(), 'resources=*');
    while (!stream.ended()) await emit('dauerfeuer');
    await isOver(stream);
  });
});
