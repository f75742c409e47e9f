import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { startTestServer, type TestServer } from '../../running-server.js';
import type { Site } from '../../site.js';
import { until } from '../../until.js';
import { describeWithChromium } from './browser.js';
import { servePage } from './page-server.js';
import { RawBrowser, type RawTab } from './raw-browser.js';

// Tabs of one window, of which one is in front, as at a desk: the others are hidden, with slower timers.

let server: TestServer;
let site: Site;
let browser: RawBrowser;
let subject = 0;
let sent = 0;

beforeAll(async () => {
  server = await startTestServer({ readIntervalMs: 1000 });
  site = await servePage(server.url);
});

afterAll(async () => {
  await site.close();
  await server.stop();
});

const emit = async () => {
  sent += 1;
  await server.psql(`select change_feed.emit('a', to_jsonb($1::int))`, [sent]);
};
const streams = () => [...server.manager.clients()].filter((client) => client.subject === `desk ${subject}`).length;
const statusOf = (tab: RawTab) => tab.evaluate<string | undefined>('window.service?.status');
const toldTo = (tab: RawTab) => tab.evaluate<(number | string)[]>('window.told ?? []');
const visible = (tab: RawTab) => tab.evaluate<boolean>('document.visibilityState === "visible"');
const becomes = (tab: RawTab, status: string) => until(async () => (await statusOf(tab)) === status, status);

describeWithChromium('tabs of one window', (executablePath) => {
  beforeEach(async () => {
    browser = await RawBrowser.start(executablePath);
    subject += 1;
  });

  afterEach(() => browser.close());

  async function open(options: object, tabOptions = {}): Promise<RawTab> {
    const all = { token: await server.token({ sub: `desk ${subject}` }), ...options };
    return browser.open(`http://127.0.0.1:${site.port}/?${encodeURIComponent(JSON.stringify(all))}`, tabOptions);
  }
  /** Opens tabs one after the other, each in front of those before, and waits until each was live. */
  async function openTabs(count: number, options: object = {}): Promise<RawTab[]> {
    const tabs: RawTab[] = [];
    for (let i = 0; i < count; i += 1) {
      const tab = await open(options);
      await until(async () => (await statusOf(tab)) === 'connected' && (await toldTo(tab)).length > 0, 'a live tab');
      tabs.push(tab);
    }
    return tabs;
  }
  /** Waits for the last change, and expects all from `first` on, each once, in order, and no further resync. */
  async function toldAll(tab: RawTab, first: number): Promise<void> {
    await until(async () => (await toldTo(tab)).includes(sent), `change ${sent}`);
    const told = await toldTo(tab);
    expect(told.filter((each) => typeof each === 'number' && each >= first)).toEqual(
      Array.from({ length: sent - first + 1 }, (_, i) => first + i),
    );
    expect(told.filter((each) => each === 'resync')).toHaveLength(1);
  }

  test('the tab that is left goes on for a while; in front or not, each is told everything once, over one stream', async () => {
    const tabs = await openTabs(3);
    const first = sent + 1;
    for (const front of [...tabs, ...tabs]) {
      await front.show();
      await until(() => visible(front), 'the tab in front');
      expect((await Promise.all(tabs.map(visible))).filter(Boolean)).toHaveLength(1);
      await emit();
      for (const tab of tabs) await toldAll(tab, first);
      expect(streams()).toBe(1);
    }
  });

  test('after its time a hidden tab lets go, the one in front has the stream, and whichever comes to front catches up', async () => {
    const [one, two] = (await openTabs(2, { hiddenMs: 500 })) as [RawTab, RawTab];
    const first = sent + 1;
    await becomes(one, 'paused');
    for (const [front, back] of [
      [two, one],
      [one, two],
      [two, one],
    ] as const) {
      await front.show();
      await becomes(back, 'paused');
      await emit();
      await toldAll(front, first);
      expect(streams()).toBe(1);
    }
    await one.show();
    await toldAll(one, first);
  });

  test('a tab that starts behind others opens nothing until it is shown', async () => {
    const [front] = (await openTabs(1)) as [RawTab];
    const behind = await open({}, { background: true });
    await becomes(behind, 'paused');
    expect(await visible(behind)).toBe(false);
    expect(
      await behind.evaluate('performance.getEntriesByType("resource").some(({ name }) => name.includes("/api/"))'),
    ).toBe(false);
    await emit();
    await until(async () => (await toldTo(front)).includes(sent), 'the change in front');
    await behind.show();
    await becomes(behind, 'connected');
    const first = sent + 1;
    await emit();
    await toldAll(behind, first);
    expect(streams()).toBe(1);
  });

  test('the leader lies behind and its thread hangs: the tab in front takes its place', async () => {
    const [leader, front] = (await openTabs(2)) as [RawTab, RawTab];
    const first = sent + 1;
    await emit();
    for (const tab of [leader, front]) await toldAll(tab, first);
    const hanging = leader.evaluate('for (;;);').catch(() => {});
    for (let i = 0; i < 5; i += 1) await emit();
    await toldAll(front, first);
    // It wakes up, and has to give way.
    await leader.send('Runtime.terminateExecution');
    await hanging;
    for (let i = 0; i < 5; i += 1) await emit();
    for (const tab of [leader, front]) await toldAll(tab, first);
    await until(() => streams() === 1, 'one stream');
  });

  test('the renderer of the leader is killed: the next tab has lost nothing', async () => {
    const [leader, front] = (await openTabs(2)) as [RawTab, RawTab];
    const first = sent + 1;
    await emit();
    for (const tab of [leader, front]) await toldAll(tab, first);
    void leader.send('Page.crash').catch(() => {});
    await emit();
    await toldAll(front, first);
    await until(() => streams() === 1, 'one stream');
  });

  test('the leader comes back from the back-forward cache of a browser that nobody has configured', async () => {
    const [leader, front] = (await openTabs(2)) as [RawTab, RawTab];
    const first = sent + 1;
    await emit();
    for (const tab of [leader, front]) await toldAll(tab, first);
    await leader.show();
    await leader.evaluate('addEventListener("pageshow", ({ persisted }) => { window.persisted = persisted; })');
    await leader.evaluate('void (location.href = "/elsewhere")');
    await until(async () => (await leader.evaluate('location.pathname')) === '/elsewhere', 'another page');
    await front.show();
    await emit();
    await toldAll(front, first);
    await leader.show();
    await leader.evaluate('history.back()');
    await until(async () => (await leader.evaluate('window.persisted').catch(() => false)) === true, 'the cached page');
    await toldAll(leader, first);
    await emit();
    for (const tab of [leader, front]) await toldAll(tab, first);
    expect(streams()).toBe(1);
  });
});
