import { afterEach, beforeEach, expect, test } from '@jest/globals';
import pg from 'pg';
import type { RunningServer } from '../../../src/koa/server.js';
import { startTestServer, type TestServer } from '../../running-server.js';
import { TcpProxy, targetOf } from '../../tcp-proxy.js';
import { PATIENCE_MS, until } from '../../until.js';

const QUERY_MS = 1000;
const WRITE_MS = 3000;

let server: TestServer;
let other: RunningServer;
let way: TcpProxy;

beforeEach(async () => {
  server = await startTestServer();
  way = await TcpProxy.open(() => targetOf(server.database.url));
  other = await server.another({
    databaseUrl: way.through(server.database.url),
    listenDatabaseUrl: server.database.url,
    queryTimeoutMs: QUERY_MS,
    writeTimeoutMs: WRITE_MS,
  });
  await server.psql(`insert into veranstaltung
    (name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr)
    values ('Fest', '2030-07-01', '2030-07-02', '2030-01-01T00:00Z', '2030-06-01T00:00Z', 1, 0)`);
});

afterEach(async () => {
  way.bury(); // or stopping would wait for them
  await server.stop();
  await way.close();
});

async function call(method: string, path: string, body?: object) {
  const response = await fetch(`${other.url}/api/veranstaltungen${path}`, {
    method,
    headers: { Authorization: `Bearer ${await server.token()}`, 'Content-Type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  await response.text();
  return { status: response.status, retryAfter: response.headers.get('Retry-After') };
}

/** Holds the lock that every write of the row waits for. Returns how to let it go. */
async function lockRow(): Promise<() => Promise<unknown>> {
  const holder = new pg.Client(server.database.url);
  await holder.connect();
  await holder.query('begin; select from veranstaltung for update');
  return () => holder.end();
}

/** How many sessions wait for a lock. */
async function waiting(): Promise<number> {
  const { rows } = await server.psql(`select count(*)::int from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`);
  return rows[0].count;
}

test.each([
  ['GET', '', undefined],
  ['GET', '/1', undefined],
  ['PATCH', '/1', { ort: 'hier' }],
])('on connections that were cut without a FIN %s %s is 503, and the next finds others', async (method, path, body) => {
  // Several that are idle
  expect(await Promise.all(Array.from({ length: 4 }, () => call('GET', '')))).toContainEqual({
    status: 200,
    retryAfter: null,
  });
  way.goSilent();
  expect(await call(method, path, body)).toEqual({ status: 503, retryAfter: '1' });
  expect((await call(method, path, body)).status).toBe(200);
});

test('a write may wait for a lock for longer than a query may take', async () => {
  const release = await lockRow();
  const patched = call('PATCH', '/1', { ort: 'dort' });
  setTimeout(release, 2 * QUERY_MS);
  expect((await patched).status).toBe(200);
});

test('a write that waits for too long is 503, and Postgres does not wait on in its place', async () => {
  const release = await lockRow();
  expect(await call('PATCH', '/1', { ort: 'dort' })).toEqual({ status: 503, retryAfter: '1' });
  await until(async () => (await waiting()) === 0);
  await release();
  const { rows } = await server.psql('select ort from veranstaltung');
  expect(rows).toEqual([{ ort: null }]);
});
