import { createRequire } from 'node:module';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createConfig, lint } from '@redocly/openapi-core';
import { STATUS_OF_CODE } from '../../src/http/http-error.js';
import type { RunningServer } from '../../src/koa/server.js';
import { packageRoot, packageVersion } from '../../src/package-root.js';
import { type EventStream, openStream } from '../event-stream.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { runAsAdmin } from '../test-database.js';
import { until } from '../until.js';
import { apiDocuments, documentOf, problemsOfAnswer, problemsOfEvent } from './api-documents.js';

// The documents that machines read, against real answers and events.

let server: TestServer;
let full: RunningServer;
let busy: RunningServer;

beforeAll(async () => {
  server = await startTestServer({ metricsToken: 'a-token-for-metrics', recentChanges: 0 }); // it reads the log for each poll
  full = await server.another({ maxStreams: 0 });
  busy = await server.another({ maxStreamsPerSubject: 0, maxPostsPerS: 1 });
  await server.psql(`create table posten (rechnung int, lfd bigint, mandant int, primary key (rechnung, lfd));
    select change_feed.watch('posten', scopes => '{mandant}')`);
});

afterAll(() => server.stop());

describe.each(apiDocuments)('%s', (path) => {
  test('is well-formed', async () => {
    // A local address is right here, and health has no reason to refuse anybody.
    const rules = { 'no-server-example.com': 'off', 'operation-4xx-response': 'off' } as const;
    const config = await createConfig({ extends: ['recommended'], rules });
    const problems = await lint({ ref: join(packageRoot, path), config });
    expect(problems.map(({ ruleId, message, location }) => [ruleId, message, location[0]?.pointer])).toEqual([]);
  });

  test('is of the version of the package', () => {
    expect(documentOf(path).info.version).toBe(packageVersion);
  });
});

test('both documents say the same of a change, and name every error code', () => {
  const { TableUpdate, Origin, Error: error } = documentOf('docs/openapi.yaml').components.schemas;
  expect(documentOf('docs/asyncapi.yaml').components.schemas).toMatchObject({ TableUpdate, Origin });
  expect(error.properties.error.properties.code.enum).toEqual(Object.keys(STATUS_OF_CODE));
});

test('the package exports them', () => {
  const { resolve } = createRequire(join(packageRoot, 'package.json'));
  for (const path of apiDocuments) {
    expect(resolve(path.replace('docs', 'pg-change-feed'))).toBe(join(packageRoot, path));
  }
});

describe('answers', () => {
  const answered = new Set<string>();

  /** Sends a request, and compares the answer with the document. @returns the JSON of the answer. */
  async function expectAnswer(
    status: number,
    method: string,
    target: string,
    given: RequestInit & { at?: string } = {},
  ) {
    const { at = server.url, ...init } = given;
    const response = await fetch(at + target, { method, ...init });
    const type = response.headers.get('Content-Type') ?? '';
    const json = type.startsWith('application/json') ? await response.json() : undefined;
    if (!type.startsWith('text/event-stream')) await response.arrayBuffer().catch(() => {});
    const path = target.split('?')[0] ?? '';
    const answer = { method, path, status: response.status, headers: response.headers, json };
    expect([response.status, ...problemsOfAnswer(answer)]).toEqual([status]);
    answered.add(`${method} ${path} ${status}`);
    return json as Record<string, unknown>;
  }
  const as = async (resources?: string[]) => ({
    Authorization: `Bearer ${await server.token(resources ? { resources } : {})}`,
  });
  const json = async (body: unknown) => ({
    headers: { ...(await as(['posten'])), 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });

  test.each(['/api/events', '/api/events/poll'])('of %s', async (path) => {
    const leave = new AbortController();
    const headers = await as(['posten']);
    await expectAnswer(200, 'GET', `${path}?resources=posten`, { headers, signal: leave.signal });
    leave.abort();
    await expectAnswer(400, 'GET', `${path}?resources=posten&lastEventId=1&lastEventId=2&resources=,,%00`, { headers });
    await expectAnswer(401, 'GET', `${path}?resources=posten`);
    await expectAnswer(403, 'GET', `${path}?resources=geheim`, { headers });
    await expectAnswer(429, 'GET', `${path}?resources=posten`, { headers, at: busy.url });
    await expectAnswer(503, 'GET', `${path}?resources=posten`, { headers, at: full.url });
  });

  test('of a poll with changes', async () => {
    const headers = await as();
    const { position } = await expectAnswer(200, 'GET', '/api/events/poll?resources=*', { headers });
    await server.psql(`insert into posten values (1, 2, 7); insert into posten values (1, 3, 7), (2, 1, 8);
      select change_feed.emit('fertig', '{"n": 1}')`);
    const changes = await expectAnswer(200, 'GET', `/api/events/poll?resources=*&lastEventId=${position}`, { headers });
    expect(changes.events).not.toHaveLength(0);
    const scope = `/api/events/poll?resources=posten%3Fmandant%3D7&lastEventId=${position}`;
    expect((await expectAnswer(200, 'GET', scope, { headers })).events).not.toHaveLength(0);
    const lost = await expectAnswer(200, 'GET', '/api/events/poll?resources=posten&lastEventId=keine', { headers });
    expect(lost.events).toMatchObject([{ reason: 'resync' }]);
  });

  test.each(['subscribe', 'unsubscribe'])('of /api/events/%s', async (action) => {
    const path = `/api/events/${action}`;
    const stream = await server.stream('resources=posten');
    const clientId = await stream.clientId();
    await expectAnswer(200, 'POST', path, await json({ clientId, resource: 'posten' }));
    await expectAnswer(400, 'POST', path, await json({ clientId }));
    await expectAnswer(401, 'POST', path);
    if (action === 'subscribe') await expectAnswer(403, 'POST', path, await json({ clientId, resource: 'geheim' }));
    await expectAnswer(404, 'POST', path, await json({ clientId: 'niemand', resource: 'posten' }));
    await expectAnswer(413, 'POST', path, await json({ clientId, resource: 'x'.repeat(70_000) }));
    await expectAnswer(415, 'POST', path, { headers: await as(), body: 'clientId=1' });
    const body = await json({ clientId, resource: 'posten' });
    const post = () => fetch(busy.url + path, { method: 'POST', ...body });
    await until(async () => (await post()).status === 429, 'the limit of requests');
    await expectAnswer(429, 'POST', path, { ...body, at: busy.url });
  });

  test('of health and metrics', async () => {
    await expectAnswer(200, 'GET', '/healthz');
    await expectAnswer(200, 'GET', '/readyz');
    await expectAnswer(200, 'GET', '/metrics', { headers: { Authorization: 'Bearer a-token-for-metrics' } });
    await expectAnswer(401, 'GET', '/metrics');
  });

  test('of a server that cannot read the log', async () => {
    const headers = await as();
    const { position } = await expectAnswer(200, 'GET', '/api/events/poll?resources=*', { headers });
    await withoutDatabase(async () => {
      await until(async () => (await fetch(`${server.url}/readyz`)).status === 503, '/readyz 503');
      await expectAnswer(503, 'GET', '/readyz');
      const poll = `/api/events/poll?resources=*&wait=20&lastEventId=${position}`;
      expect(await expectAnswer(200, 'GET', poll, { headers })).toMatchObject({ readable: false });
    });
  });

  test('are documented, and every documented one was seen', () => {
    const documented = Object.entries(documentOf('docs/openapi.yaml').paths).flatMap(([path, methods]) =>
      Object.entries(methods as Record<string, { responses: object }>).flatMap(([method, { responses }]) =>
        Object.keys(responses)
          .filter((status) => status !== 'default')
          .map((status) => `${method.toUpperCase()} ${path} ${status}`),
      ),
    );
    expect([...answered].sort()).toEqual(documented.sort());
  });
});

/** Works while no server can reach the database. */
async function withoutDatabase(work: () => Promise<void>): Promise<void> {
  const name = new URL(server.database.url).pathname.slice(1);
  await runAsAdmin(`alter database ${name} allow_connections false`);
  try {
    await server.psql(`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name like 'pg-change-feed%'`);
    await work();
  } finally {
    await runAsAdmin(`alter database ${name} allow_connections true`);
  }
  await until(async () => (await fetch(`${server.url}/readyz`)).status === 200, '/readyz 200');
}

test('events: every kind is documented and was seen, as it is', async () => {
  const streams: EventStream[] = [];
  const open = async (query: string, token: string, headers = {}) => {
    const stream = await openStream(`${server.url}/api/events?${query}`, {
      Authorization: `Bearer ${token}`,
      ...headers,
    });
    streams.push(stream);
    await stream.clientId();
    return stream;
  };
  const stays = await open('resources=*', await server.token());
  const scoped = await open('resources=posten%3Fmandant%3D7', await server.token());
  const revoked = await open('resources=posten', await server.token({ sub: 'eve' }));
  const expired = await open('resources=posten', await server.token({ expiresInS: 2 }));
  await open('resources=posten', await server.token(), { 'Last-Event-ID': 'keine' });

  await server.psql(`begin; select set_config('change_feed.actor', 'ada', true), set_config('change_feed.client', 'x', true);
    insert into posten values (9, 1, 7); commit; update posten set lfd = 5 where rechnung = 9; truncate posten;
    select change_feed.emit('fertig', '{"n": [1, null]}')`);
  await server.psql('select change_feed.end_streams($1)', ['eve']);
  await server.psql(`select change_feed.watch('posten')`); // takes the scopes away
  await scoped.next(({ event }) => event === 'ended');
  await withoutDatabase(async () => {
    await stays.next(({ event }) => event === 'health');
  });
  await stays.next(({ event, data }) => event === 'health' && data.readable);
  await until(() => revoked.ended() && expired.ended(), 'the streams to end');
  await stays.next(({ data }) => data.resource === 'fertig');

  const events = streams.flatMap((stream) => stream.events);
  for (const event of events) expect([event, ...problemsOfEvent(event)]).toEqual([event]);
  const kinds = [...new Set(events.map(({ event }) => event))].sort();
  expect(kinds).toEqual(Object.keys(documentOf('docs/asyncapi.yaml').components.messages).sort());
  const fields = new Set(
    events.filter(({ event }) => event === 'table-update').flatMap(({ data }) => Object.keys(data)),
  );
  // spread needs more than a hundred clients.
  expect([...fields, 'spread'].sort()).toEqual(
    Object.keys(documentOf('docs/asyncapi.yaml').components.schemas.TableUpdate.properties).sort(),
  );
  for (const stream of streams) stream.close();
});
