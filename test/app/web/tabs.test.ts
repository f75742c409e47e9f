import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { startTestServer, type TestServer } from '../../running-server.js';
import type { Site } from '../../site.js';
import { until } from '../../until.js';
import { describeInBrowser, type Pages, setVisible } from './browser.js';
import { type ClientPage, statusOf, toldTo } from './client-page.js';
import { servePage } from './page-server.js';

// Real tabs of a real browser that share one stream.

let server: TestServer;
let site: Site;
let subject = 0;
let sent = 0;
let token: string;

beforeAll(async () => {
  server = await startTestServer({ readIntervalMs: 1000 });
  site = await servePage(server.url);
});

afterAll(async () => {
  await site.close();
  await server.stop();
});

beforeEach(async () => {
  // Each test is another person
  subject += 1;
  token = await server.token({ sub: `person ${subject}` });
});

const emit = async () => {
  sent += 1;
  await server.psql(`select change_feed.emit('a', to_jsonb($1::int))`, [sent]);
  return sent;
};
const streams = () => [...server.manager.clients()].filter((client) => client.subject === `person ${subject}`).length;
const urlOf = (options: object, host: string) =>
  `http://${host}:${site.port}/?${encodeURIComponent(JSON.stringify({ token, ...options }))}`;

/** Opens tabs beside each other, and waits until all are live. */
async function openTabs(pages: Pages, count: number, options: object = {}, host = '127.0.0.1'): Promise<Page[]> {
  const tabs: Page[] = [];
  for (let i = 0; i < count; i += 1) {
    const [beside] = tabs;
    tabs.push(await pages.open(urlOf(options, host), beside ? { beside } : {}));
  }
  for (const tab of tabs) await live(tab);
  return tabs;
}
async function live(tab: Page): Promise<void> {
  await until(async () => (await statusOf(tab)) === 'connected' && (await toldTo(tab)).length > 0, 'a live tab');
}
/** Waits until a tab has been told of a change, once, and of each that it was told of once. */
async function toldOnce(tab: Page, change: number): Promise<void> {
  await until(async () => (await toldTo(tab)).includes(change), `change ${change}`);
  const numbers = (await toldTo(tab)).filter((each) => typeof each === 'number');
  expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
}
/** All that was sent from the first on that a tab has been told of, with no hole. */
async function toldAll(tab: Page, from: number): Promise<void> {
  await toldOnce(tab, sent);
  const numbers = (await toldTo(tab)).filter((each) => typeof each === 'number' && each >= from);
  expect(numbers).toEqual(Array.from({ length: sent - from + 1 }, (_, i) => from + i));
  expect((await toldTo(tab)).filter((each) => each === 'resync')).toHaveLength(1);
}
const leads = (tab: Page) =>
  tab.evaluate(async () => {
    const { held = [] } = await navigator.locks.query();
    return held.length > 0;
  });
/** Which tab's page has the stream: its connection is the only one with a stream's request. */
async function leaderOf(tabs: readonly Page[]): Promise<Page> {
  for (const tab of tabs) {
    const entries = await tab.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => name));
    if (entries.some((name) => /\/api\/events\?/.test(name))) return tab;
  }
  return tabs[0] as Page;
}

describeInBrowser(
  'tabs',
  (pages) => {
    test('ten tabs have one stream, each change comes once to each, and a tab with its own resource gets it', async () => {
      const tabs = await openTabs(pages, 10);
      expect(streams()).toBe(1);
      expect(await leads(tabs[0] as Page)).toBe(true);
      const first = sent + 1;
      for (let i = 0; i < 20; i += 1) await emit();
      for (const tab of tabs) await toldAll(tab, first);

      const last = tabs.at(-1) as Page;
      await last.evaluate(() => {
        const page = window as unknown as ClientPage;
        page.service.on('b', ({ data, reason }) => page.told.push(reason ?? `b ${data}`));
      });
      await until(async () => {
        await server.psql(`select change_feed.emit('b', '7')`);
        return (await toldTo(last)).includes('b 7');
      });
      expect(streams()).toBe(1);
      expect(await toldTo(tabs[1] as Page)).not.toContain('b 7');
    });

    test('the leader is closed, and another crashes: nothing is lost, nothing comes twice', async () => {
      const tabs = await openTabs(pages, 4);
      const first = await emit();
      for (const tab of tabs) await toldOnce(tab, first);
      await (tabs[0] as Page).close();
      await emit();
      for (const tab of tabs.slice(1)) await toldAll(tab, first);
      await until(() => streams() === 1);

      const rest = tabs.slice(1);
      const next = rest[0] as Page; // the lock goes to the one that has waited longest
      const crash = await next.context().newCDPSession(next);
      void crash.send('Page.crash').catch(() => {});
      await emit();
      await emit();
      for (const tab of rest.slice(1)) await toldAll(tab, first);
      await until(() => streams() === 1);
    });

    test("the leader's thread hangs: another takes its place, and nothing comes twice when it wakes up", async () => {
      const tabs = await openTabs(pages, 3);
      const first = await emit();
      for (const tab of tabs) await toldOnce(tab, first);
      const [leader, ...others] = tabs as [Page, ...Page[]];
      const cdp = await leader.context().newCDPSession(leader);
      const hanging = leader.evaluate('for (;;);').catch(() => {});
      for (let i = 0; i < 10; i += 1) await emit();
      for (const tab of others) await toldAll(tab, first);
      await cdp.send('Runtime.terminateExecution');
      await hanging;
      for (let i = 0; i < 10; i += 1) await emit();
      for (const tab of tabs) await toldAll(tab, first);
      await until(() => streams() === 1);
    });

    test('a hidden tab lets go, catches up when it is shown, and one that starts hidden opens nothing', async () => {
      const tabs = await openTabs(pages, 2, { hiddenMs: 200 });
      const [leader, other] = tabs as [Page, Page];
      const first = await emit();
      for (const tab of tabs) await toldOnce(tab, first);
      await setVisible(leader, false);
      await until(async () => (await statusOf(leader)) === 'paused');
      await emit();
      await toldAll(other, first);
      await setVisible(other, false);
      await until(async () => (await statusOf(other)) === 'paused');
      await until(() => streams() === 0);
      await emit();
      const started = await pages.open('about:blank', {
        beside: leader,
        prepare: (page) =>
          page.addInitScript(() => {
            Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => 'hidden' });
          }),
      });
      await started.goto(urlOf({ hiddenMs: 200 }, '127.0.0.1'));
      await until(async () => (await statusOf(started)) === 'paused');
      expect(streams()).toBe(0);
      for (const tab of tabs) await setVisible(tab, true);
      for (const tab of tabs) await toldAll(tab, first);
      await emit();
      for (const tab of tabs) await toldAll(tab, first);
      expect(streams()).toBe(1);
    });

    test('a page comes back from the back-forward cache, and has missed nothing', async () => {
      const tabs = await openTabs(pages, 2);
      const [leader, other] = tabs as [Page, Page];
      const first = await emit();
      for (const tab of tabs) await toldOnce(tab, first);
      await leader.evaluate(() => {
        addEventListener('pageshow', ({ persisted }) => {
          document.title = persisted ? 'persisted' : 'loaded anew';
        });
      });
      await leader.goto(`http://127.0.0.1:${site.port}/elsewhere`);
      await emit();
      await toldAll(other, first);
      await leader.goBack({ waitUntil: 'commit' });
      await until(async () => (await leader.title()) === 'persisted', 'the back-forward cache');
      await toldAll(leader, first);
      await emit();
      for (const tab of tabs) await toldAll(tab, first);
      expect(streams()).toBe(1);
    });

    test('a tab whose resources do not fit the stream opens one of its own, and both miss nothing', async () => {
      const [one, other] = (await openTabs(pages, 2)) as [Page, Page];
      const first = await emit();
      for (const tab of [one, other]) await toldOnce(tab, first);
      const listen = (tab: Page, name: string) =>
        tab.evaluate((prefix) => {
          const { service } = window as unknown as ClientPage;
          for (let i = 0; i < 60; i += 1) service.on(`${prefix} ${i}`, () => {});
        }, name);
      const topics = () => [...server.manager.clients()].map(({ subscriptions }) => subscriptions.size).sort();
      await listen(one, 'one');
      await until(() => topics().join() === '61', 'the resources of the first tab');
      await listen(other, 'other');
      await until(() => topics().join() === '61,61', 'a stream for each');
      await emit();
      for (const tab of [one, other]) await toldAll(tab, first);
    });

    test('another person signs in: the tabs part, and come together again', async () => {
      const tabs = await openTabs(pages, 2);
      const [one, other] = tabs as [Page, Page];
      await until(() => streams() === 1);
      subject += 1;
      const anew = await server.token({ sub: `person ${subject}` });
      await one.evaluate((jwt) => {
        localStorage.jwt = jwt;
        (window as unknown as ClientPage).service.configure({});
      }, anew);
      await until(() => streams() === 1 && server.manager.clientCount === 1);
      const number = await emit();
      for (const tab of [one, other]) await toldOnce(tab, number);
    });

    test('sign-in in one tab wakes another that had no token', async () => {
      const one = await pages.open(urlOf({ token: '' }, '127.0.0.1'));
      const other = await pages.open(urlOf({ token: '' }, '127.0.0.1'), { beside: one });
      for (const tab of [one, other]) await until(async () => (await statusOf(tab)) === 'unauthorized');
      await one.evaluate((jwt) => {
        localStorage.jwt = jwt;
        (window as unknown as ClientPage).service.connect();
      }, token);
      for (const tab of [one, other]) await live(tab);
      await until(() => streams() === 1);
    });

    test('the network is gone, and back', async () => {
      const [one, other] = (await openTabs(pages, 2)) as [Page, Page];
      const first = await emit();
      for (const tab of [one, other]) await toldOnce(tab, first);
      await one.context().setOffline(true);
      for (const tab of [one, other]) await until(async () => (await statusOf(tab)) === 'offline', 'offline');
      await emit();
      await one.context().setOffline(false);
      for (const tab of [one, other]) await toldAll(tab, first);
    });

    test('without locks, on plain HTTP to another host, a lease takes their place', async () => {
      const tabs = await openTabs(pages, 3, {}, 'app.test');
      expect(await (tabs[0] as Page).evaluate(() => 'locks' in navigator)).toBe(false);
      await until(() => streams() === 1);
      const first = await emit();
      for (const tab of tabs) await toldOnce(tab, first);
      const leader = await leaderOf(tabs);
      await leader.close();
      const rest = tabs.filter((tab) => tab !== leader);
      await emit();
      for (const tab of rest) await toldAll(tab, first);
      await until(() => streams() === 1);
    });
  },
  {
    whole: true,
    args: ['--host-resolver-rules=MAP app.test 127.0.0.1'],
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
  },
);
