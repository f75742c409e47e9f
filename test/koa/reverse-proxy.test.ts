import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { type ClientHttp2Session, connect } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type Browser, chromium, type Page } from 'playwright-core';
import { createStreamParser, type StreamEvent } from '../event-stream.js';
import { type Nginx, nginxInstalled, startNginx } from '../nginx.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { PATIENCE_MS, until } from '../until.js';

const CHROMIUM = '/usr/bin/chromium';
const browserInstalled = existsSync(CHROMIUM);
// CI installs them, and must not pass without.
if (process.env.CI && !(nginxInstalled && browserInstalled)) {
  throw new Error('nginx, openssl or chromium is missing: apt-get install nginx-light openssl chromium');
}
if (!nginxInstalled) console.warn('Skipped, for nginx is missing: apt-get install nginx-light openssl');
const withNginx = nginxInstalled ? test : test.skip;
const withBrowser = nginxInstalled && browserInstalled ? test : test.skip;

let server: TestServer;
const running: Nginx[] = [];
const folders: string[] = [];
const sessions: ClientHttp2Session[] = [];

beforeAll(async () => {
  server = await startTestServer({ metricsToken: 'a-token-of-the-tests' });
});

afterAll(() => server.stop());

afterEach(async () => {
  for (const session of sessions.splice(0)) session.destroy();
  for (const nginx of running.splice(0)) await nginx.stop();
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function start(servers: readonly string[], change: Record<string, string> = {}): Promise<Nginx> {
  const folder = await mkdtemp(join(tmpdir(), 'nginx-'));
  folders.push(folder);
  const nginx = await startNginx(folder, servers, change);
  running.push(nginx);
  return nginx;
}

/** A request over HTTP/2, whose answer may continue. */
function open(url: string, path: string, headers: Record<string, string> = {}) {
  const session = connect(url, { rejectUnauthorized: false });
  sessions.push(session);
  session.on('error', () => {});
  const answer = session.request({ ':path': path, ...headers });
  const events: StreamEvent[] = [];
  const parser = createStreamParser((event) => events.push(event));
  let status = 0;
  let ended = false;
  answer.on('response', (given) => {
    status = Number(given[':status']);
  });
  answer.on('data', (chunk: Uint8Array) => parser.feed(chunk));
  answer.on('error', () => {});
  answer.on('close', () => {
    ended = true;
  });
  return { events, status: () => status, ended: () => ended, leave: () => session.destroy() };
}

const bearer = async () => ({ authorization: `Bearer ${await server.token()}` });

describe('nginx with ops/nginx.conf', () => {
  withNginx('passes each event on at once, over HTTP/2, and keeps the token out of its log', async () => {
    const { url, accessLog } = await start([server.url]);
    const token = await server.token();
    const { events, leave } = open(url, `/api/events?resources=*&token=${token}`);
    await until(() => events.length === 1, 'connected');
    for (const expected of [2, 3, 4]) {
      await server.psql(`select change_feed.emit('anmeldung')`);
      await until(() => events.length === expected, 'the event');
    }
    leave();
    await until(async () => (await accessLog()) !== '', 'the line of the request');
    expect(await accessLog()).toContain('"GET /api/events" 200');
    expect(await accessLog()).not.toContain(token);
  });

  // Over HTTP/1.0 nginx would keep events back until a buffer is full, but for the server's X-Accel-Buffering.
  withNginx.each(['1.0', '1.1'])('does so with its own buffering, too, over HTTP/%s to the server', async (version) => {
    const { url } = await start([server.url], {
      'proxy_http_version 1.1;': `proxy_http_version ${version};`,
      'proxy_buffering off;': 'proxy_buffering on;',
    });
    const { events } = open(url, '/api/events?resources=*', await bearer());
    await until(() => events.length === 1, 'connected');
    await server.psql(`select change_feed.emit('anmeldung')`);
    await until(() => events.length === 2, 'the event');
  });

  withNginx('keeps a silent stream open from heartbeat to heartbeat, and no longer', async () => {
    const beating = await server.another({ heartbeatS: 1 });
    const change = { 'proxy_read_timeout 100s;': 'proxy_read_timeout 8s;' };
    const [kept, cut] = [await start([beating.url], change), await start([server.url], change)].map(({ url }) => url);
    const headers = await bearer();
    const beats = open(kept ?? '', '/api/events?resources=*', headers);
    const silent = open(cut ?? '', '/api/events?resources=*', headers);
    await until(() => beats.events.length === 1 && silent.events.length === 1, 'both streams');
    await until(silent.ended, 'the end of the stream without heartbeats');
    expect(beats.ended()).toBe(false);
    await server.psql(`select change_feed.emit('anmeldung')`);
    await until(() => beats.events.length === 2, 'an event on the other');
  });

  withNginx('hides the metrics', async () => {
    const { url } = await start([server.url]);
    const answer = open(url, '/metrics', { authorization: 'Bearer a-token-of-the-tests' });
    await until(() => answer.status() !== 0, 'an answer');
    expect(answer.status()).toBe(404);
  });

  withNginx('gives a stream that a stopped server ended to another, where it resumes', async () => {
    const leaving = await server.another();
    const { url } = await start([leaving.url, server.url]);
    const headers = await bearer();
    const first = open(url, '/api/events?resources=*', headers);
    await until(() => first.events.length === 1, 'connected');
    await leaving.stop();
    await until(first.ended, 'its end');
    await server.psql(`select change_feed.emit('waehrenddessen')`);
    const again = open(url, '/api/events?resources=*', { ...headers, 'last-event-id': first.events[0]?.id ?? '' });
    await until(() => again.events.some(({ data }) => data.resource === 'waehrenddessen'), 'what it missed');
    expect(again.events[0]?.data.resumed).toBe(true);
  });

  withNginx('asks another when a server that stops refuses a stream', async () => {
    const leaving = await server.another();
    const { url } = await start([leaving.url, server.url]);
    await leaving.manager.close();
    const headers = await bearer();
    const streams = [1, 2, 3, 4].map(() => open(url, '/api/events?resources=*', headers));
    await until(() => streams.every(({ status }) => status() !== 0), 'the answers');
    expect(streams.map(({ status }) => status())).toEqual([200, 200, 200, 200]);
  });
});

describe('ten tabs in Chromium, each with a stream', () => {
  let browser: Browser;

  beforeAll(async () => {
    if (!browserInstalled) return;
    const args = [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
    ];
    browser = await chromium.launch({ executablePath: CHROMIUM, args });
  });

  afterAll(() => browser?.close());

  /** Opens ten tabs on an address, and in each an EventSource, which counts what it has received. */
  async function openTabs(url: string): Promise<Page[]> {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, bypassCSP: true });
    const tabs: Page[] = [];
    for (let i = 0; i < 10; i += 1) {
      const tab = await context.newPage();
      await tab.goto(`${url}/healthz`);
      tabs.push(tab);
    }
    const stream = `/api/events?resources=anmeldung&token=${await server.token()}`;
    for (const tab of tabs) {
      await tab.evaluate(`
        globalThis.connected = 0;
        globalThis.received = 0;
        const source = new EventSource('${stream}');
        source.addEventListener('connected', () => { connected += 1; });
        source.addEventListener('table-update', () => { received += 1; });
      `);
    }
    return tabs;
  }

  const sum = async (tabs: readonly Page[], what: 'connected' | 'received') =>
    (await Promise.all(tabs.map((tab) => tab.evaluate<number>(what)))).reduce((all, one) => all + one, 0);
  const request = (tab: Page | undefined, ms: number) =>
    tab?.evaluate(
      `fetch('/healthz', { signal: AbortSignal.timeout(${ms}) }).then(({ status }) => status, ({ name }) => name)`,
    );
  const protocol = (tab: Page | undefined) =>
    tab?.evaluate(`performance.getEntriesByType('navigation')[0].nextHopProtocol`);

  withBrowser('straight to the server, over HTTP/1.1, six are open, and everything else waits', async () => {
    const tabs = await openTabs(server.url);
    await until(async () => (await sum(tabs, 'connected')) === 6, 'six streams');
    expect(await request(tabs[9], 2000)).toBe('TimeoutError');
    expect(await sum(tabs, 'connected')).toBe(6);
    expect(await protocol(tabs[0])).toBe('http/1.1');
    await tabs[0]?.context().close();
  });

  withBrowser('through nginx, over HTTP/2, all are open, receive every change, and requests get through', async () => {
    const { url } = await start([server.url]);
    const tabs = await openTabs(url);
    await until(async () => (await sum(tabs, 'connected')) === 10, 'ten streams');
    await server.psql(`select change_feed.emit('anmeldung')`);
    await until(async () => (await sum(tabs, 'received')) === 10, 'the change in ten tabs');
    expect(await request(tabs[9], PATIENCE_MS)).toBe(200);
    expect(await protocol(tabs[0])).toBe('h2');
    await tabs[0]?.context().close();
  });
});
