import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { StreamEvent } from '../event-stream.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { runAsAdmin } from '../test-database.js';
import { until } from '../until.js';

let server: TestServer;

beforeAll(async () => {
  // Who resumes has to wait for the log
  server = await startTestServer({ recentChanges: 0 });
});

afterAll(() => server.stop());

const status = async (path: string) =>
  (await fetch(server.url + path, { headers: { Authorization: `Bearer ${await server.token()}` } })).status;

test('while the server cannot reach the database it says so, and afterwards sends what was written meanwhile', async () => {
  const stream = await server.stream('resources=*');
  await stream.clientId();
  expect(await status('/readyz')).toBe(200);

  const name = new URL(server.database.url).pathname.slice(1);
  await runAsAdmin(`alter database ${name} allow_connections false`);
  await server.psql(`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name like 'pg-change-feed%'`);
  await until(async () => (await status('/readyz')) === 503, '/readyz 503');
  await until(async () => (await status('/api/veranstaltungen')) === 503, 'REST 503');
  const refused = await fetch(`${server.url}/api/veranstaltungen`, {
    headers: { Authorization: `Bearer ${await server.token()}` },
  });
  expect(refused.headers.get('Retry-After')).toBe('1');
  expect(JSON.stringify(await refused.json())).not.toMatch(new RegExp(name));

  // An event, for comments reach no EventSource
  const cannotRead = ({ event, data }: StreamEvent) => event === 'health' && data.readable === false;
  expect((await stream.next(cannotRead)).data.forMs).toBeGreaterThanOrEqual(0);
  const poll = await fetch(`${server.url}/api/events/poll?resources=*&wait=20&lastEventId=${stream.lastEventId()}`, {
    headers: { Authorization: `Bearer ${await server.token()}` },
  });
  expect(await poll.json()).toEqual({ events: [], position: stream.lastEventId(), readable: false });

  // Streams are accepted all the same; one that resumes receives its replay when the log can be read.
  const resuming = await server.stream('resources=*', { 'Last-Event-ID': stream.lastEventId() ?? '' });
  expect((await resuming.next(({ event }) => event === 'connected')).data.resumed).toBe(false);
  await resuming.next(cannotRead);
  await server.psql(`select change_feed.emit('waehrenddessen')`);

  await runAsAdmin(`alter database ${name} allow_connections true`);
  await stream.next(({ data }) => data.resource === 'waehrenddessen');
  await resuming.next(({ data }) => data.resource === 'waehrenddessen');
  for (const each of [stream, resuming]) await each.next(({ data }) => data.readable === true);
  await until(async () => (await status('/readyz')) === 200, '/readyz 200');
  expect(await status('/api/veranstaltungen')).toBe(200);
  expect(await status('/healthz')).toBe(200);
});
