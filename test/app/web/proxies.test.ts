import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { type Meddling, MeddlingProxy } from '../../client/meddling-proxy.js';
import { startTestServer, type TestServer } from '../../running-server.js';
import type { Site } from '../../site.js';
import { until } from '../../until.js';
import { describeInBrowser, type Pages } from './browser.js';
import { type ClientPage, statusOf, toldTo } from './client-page.js';
import { servePage } from './page-server.js';

// A page in a real browser behind proxies that do to streams as bad ones do.

const STREAM = /^\/api\/events(\?|$)/;
const HTML = { status: 200, headers: { 'Content-Type': 'text/html' }, body: '<!doctype html><title>portal</title>' };
const REDIRECT = { status: 302, headers: { Location: '/elsewhere' }, body: '' };

let server: TestServer;
let proxy: MeddlingProxy | undefined;
let site: Site | undefined;
let meddling: (path: string) => Meddling;

beforeEach(async () => {
  server = await startTestServer({ readIntervalMs: 1000 });
});

afterEach(async () => {
  await site?.close();
  await proxy?.close();
  site = undefined;
  proxy = undefined;
  await server.stop();
});

/** Opens the page behind a proxy. */
async function openBehind(pages: Pages, meddle: (path: string) => Meddling): Promise<Page> {
  meddling = meddle;
  proxy = await MeddlingProxy.open(server.url, (path) => meddling(path));
  site = await servePage(proxy.url);
  const options = { token: await server.token(), connectMs: 2000 };
  return pages.open(`http://127.0.0.1:${site.port}/?${encodeURIComponent(JSON.stringify(options))}`);
}

const emit = (number: number) => server.psql(`select change_feed.emit('a', to_jsonb($1::int))`, [number]);
const live = (page: Page) => until(async () => (await statusOf(page)) === 'connected', 'a page that is live');
/** Waits for the last of these numbers, and expects all of them once and in order. */
async function toldAll(page: Page, numbers: readonly number[]): Promise<void> {
  await until(async () => (await toldTo(page)).includes(numbers.at(-1) ?? 0), `change ${numbers.at(-1)}`);
  expect((await toldTo(page)).filter((each) => typeof each === 'number')).toEqual(numbers);
}

describeInBrowser('a page behind a proxy', (pages) => {
  test.each([
    ['keeps streams back for ever', { buffers: true }],
    ['answers streams with HTML', { answers: HTML }],
    ['redirects streams', { answers: REDIRECT }],
  ])('that %s is live by polls', async (_name, fault: Meddling) => {
    const page = await openBehind(pages, (path) => (STREAM.test(path) ? fault : {}));
    await live(page);
    for (const number of [1, 2, 3]) {
      await emit(number);
      await toldAll(page, [1, 2, 3].slice(0, number));
    }
  });

  test('that strips Last-Event-ID and cuts every 5 s: the stream resumes, and nothing is lost', async () => {
    const page = await openBehind(pages, (path) =>
      STREAM.test(path) ? { strips: ['last-event-id'], cutsAfterMs: 5000 } : {},
    );
    await live(page);
    const sent: number[] = [];
    // The next is sent when the one before has been told: a flood would be summed up.
    while ((proxy?.cuts ?? 0) < 3) {
      sent.push(sent.length + 1);
      await emit(sent.length);
      await until(async () => (await toldTo(page)).includes(sent.length), `change ${sent.length}`);
    }
    await toldAll(page, sent);
    expect((await toldTo(page)).filter((each) => each === 'resync')).toHaveLength(1);
  });

  test('that answers everything with HTML is never live, and the page recovers with the network', async () => {
    const page = await openBehind(pages, () => ({ answers: HTML }));
    await until(async () => (await statusOf(page)) === 'waiting', 'a failure');
    await emit(1);
    meddling = () => ({});
    await live(page);
    const statuses = await page.evaluate(() => (window as unknown as ClientPage).statuses);
    expect(statuses.filter((status) => status === 'connected')).toHaveLength(1);
    await emit(2);
    await until(async () => (await toldTo(page)).includes(2), 'the change');
  });
});
