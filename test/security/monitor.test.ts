import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import type { RunningServer } from '../../src/koa/server.js';
import { LiveChanges } from '../../src/monitor/live-changes.js';
import { MAX_MONITORS } from '../../src/monitor/monitor.js';
import { MonitorStream } from '../../src/monitor/monitor-stream.js';
import { type EventStream, openStream } from '../event-stream.js';
import { SERVERS } from '../http/servers.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { until } from '../until.js';

// Who may use the monitor, and what it costs the feed.

const PATHS = ['events', 'history', 'streams', 'tables'];
const ORDERS = { test: { resource: 'probe' }, end: { subject: 'ada' } };

let server: TestServer;
let withMonitor: RunningServer;
const streams: EventStream[] = [];

beforeAll(async () => {
  server = await startTestServer();
  withMonitor = await server.another({ monitor: true, maxStreamsPerSubject: MAX_MONITORS + 5 });
});

afterAll(async () => {
  for (const stream of streams) stream.close();
  await server.stop();
});

async function statusesAt(url: string, headers: Record<string, string>): Promise<number[]> {
  const gets = PATHS.map((path) => fetch(`${url}/api/monitor/${path}`, { headers }));
  const posts = Object.entries(ORDERS).map(([path, body]) =>
    fetch(`${url}/api/monitor/${path}`, {
      method: 'POST',
      headers: { ...headers, 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    }),
  );
  const answers = await Promise.all([...gets, ...posts]);
  for (const { body } of answers) await body?.cancel();
  return [...new Set(answers.map(({ status }) => status))];
}

async function bearer(options: Parameters<TestServer['token']>[0]): Promise<Record<string, string>> {
  return { Authorization: `Bearer ${await server.token(options)}` };
}

async function openPage(headers: Record<string, string>): Promise<EventStream> {
  const page = await openStream(`${withMonitor.url}/api/monitor/events`, headers);
  streams.push(page);
  return page;
}

test('without MONITOR=on there is none, whatever a token says', async () => {
  const admin = await bearer({ sub: 'admin', monitor: true });
  expect(await statusesAt(server.url, admin)).toEqual([404]);
  expect((await fetch(`${server.url}/monitor`)).status).toBe(404);
});

test('nobody without a token sees anything, and nobody whose token lacks the claim', async () => {
  expect(await statusesAt(withMonitor.url, {})).toEqual([401]);
  expect(await statusesAt(withMonitor.url, await bearer({ sub: 'ada', resources: ['*'] }))).toEqual([403]);
});

test('a claim that is not true or false is refused', async () => {
  const { SignJWT } = await import('jose');
  const key = new TextEncoder().encode(server.secret);
  const token = await new SignJWT({ sub: 'ada', monitor: 'false' }).setProtectedHeader({ alg: 'HS256' }).sign(key);
  expect(await statusesAt(withMonitor.url, { Authorization: `Bearer ${token}` })).toEqual([401]);
});

describe.each(Object.entries(SERVERS))('in %s', (_name, start) => {
  test('only callers with the right receive anything, and the page loads nothing of others', async () => {
    const mounted = await start({
      databaseUrl: server.database.url,
      logger: pino({ level: 'silent' }),
      monitor: true,
      find: ((header: (name: string) => string | undefined) => {
        const subject = header('x-key');
        return subject && { subject, rights: '*', monitor: subject === 'admin' };
      }) as never,
    });
    try {
      expect(await statusesAt(mounted.url, {})).toEqual([401]);
      expect(await statusesAt(mounted.url, { 'x-key': 'ada' })).toEqual([403]);
      const list = await fetch(`${mounted.url}/api/monitor/streams`, { headers: { 'x-key': 'admin' } });
      expect([list.status, await list.json()]).toEqual([200, { streams: [], total: 0 }]);
      const page = await openStream(`${mounted.url}/api/monitor/events`, { 'x-key': 'admin' });
      await page.next(({ event }) => event === 'state');
      page.close();
      // A link of another site
      const html = await fetch(`${mounted.url}/monitor`, {
        headers: { Cookie: 'a=b', 'Sec-Fetch-Site': 'cross-site' },
      });
      expect(html.status).toBe(200);
      expect(html.headers.get('Content-Security-Policy')).toContain("default-src 'none';script-src 'self'");
      const [, script = ''] = /src="\.\/(monitor\/[^"]+\.js)"/.exec(await html.text()) ?? [];
      const file = await fetch(`${mounted.url}/${script}`);
      expect([file.status, file.headers.get('Content-Type')]).toEqual([200, 'text/javascript; charset=utf-8']);
      expect((await fetch(`${mounted.url}/monitor/..%2f..%2findex.js`)).status).toBe(404);
    } finally {
      await mounted.stop();
    }
  });
});

test('a page counts as a stream of its subject, and a server has at most 20', async () => {
  const admin = await bearer({ sub: 'admin', monitor: true });
  const pages: EventStream[] = [];
  for (let count = 0; count < MAX_MONITORS; count += 1) pages.push(await openPage(admin));
  const refused = await fetch(`${withMonitor.url}/api/monitor/events`, { headers: admin });
  expect([refused.status, refused.headers.get('Retry-After')]).toEqual([429, '5']);
  const reader = () => fetch(`${withMonitor.url}/api/events?resources=*`, { headers: admin });
  for (let count = 0; count < 5; count += 1) streams.push(await openStream(`${withMonitor.url}/api/events`, admin));
  expect((await reader()).status).toBe(429);
  for (const page of pages) page.close();
  await until(async () => {
    const { status, body } = await reader();
    await body?.cancel();
    return status === 200;
  }, 'the places of the pages to be free');
});

test('a page ends with its token, and when the rights of its subject are withdrawn', async () => {
  const short = await openPage(await bearer({ sub: 'kurz', monitor: true, expiresInS: 1 }));
  await until(() => short.ended(), 'its end');
  expect(short.events.at(-1)?.event).toBe('expired');
  const page = await openPage(await bearer({ sub: 'admin', monitor: true }));
  await server.psql(`select change_feed.end_streams('admin')`);
  await until(() => page.ended(), 'its end');
  expect(page.events.at(-1)?.event).toBe('revoked');
});

test('a page that does not read costs 64 kB and one event, and is told how much it has not seen', () => {
  const socket = new PassThrough({ highWaterMark: 1 });
  const page = new MonitorStream(socket);
  const body = { text: 'x'.repeat(10_000) };
  for (let count = 0; count < 1000; count += 1) page.send('changes', body);
  expect(socket.writableLength + socket.readableLength).toBeLessThan(64 * 1024 + 3 * 10_100);
});

test('whatever is written, a tenth of a second costs the pages sixty changes and a number', () => {
  const live = new LiveChanges();
  const change = { resource: 'zimmer', keysText: `[${'"x",'.repeat(100_000)}1]`, xid: 7n };
  const changes = Array.from({ length: 5000 }, () => change);
  live.add({ changes, measured: undefined, lagsMs: [], sent: undefined });
  const shown = live.take();
  expect([shown?.changes.length, shown?.skipped]).toEqual([60, 4940]);
  expect(JSON.stringify(shown).length).toBeLessThan(60_000);
});
