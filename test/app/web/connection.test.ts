import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import type { RunningServer } from '../../../src/koa/server.js';
import { startTestServer, type TestServer } from '../../running-server.js';
import { TcpProxy, targetOf } from '../../tcp-proxy.js';
import { until } from '../../until.js';
import { connected, describeInBrowser, row, setVisible } from './browser.js';

let server: TestServer;
let running: RunningServer;
let way: TcpProxy;
let demoTokenS: number;
let id: number;

/** Where the page finds whichever server runs. */
const url = () => `http://127.0.0.1:${way.port}`;
const options = () => ({
  readIntervalMs: 1000,
  demoToken: () => server.token({ sub: 'demo', expiresInS: demoTokenS }),
});

beforeEach(async () => {
  demoTokenS = 3600;
  server = await startTestServer(options());
  running = server;
  way = await TcpProxy.open(() => targetOf(running.url));
  const { rows } = await server.psql(`insert into veranstaltung
    (name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr)
    values ('Lauf', '2030-07-01', '2030-07-02', now(), '2030-06-01', 20, 0) returning id`);
  id = rows[0].id;
});

afterEach(async () => {
  await way.close();
  await server.stop();
});

/** Keeps what the page's streams bring, byte by byte, in `window.heard`. */
const keepStreams = (page: Page) =>
  page.addInitScript(() => {
    const page = window as unknown as { heard: string };
    page.heard = '';
    const send = window.fetch;
    window.fetch = async (input, init) => {
      const response = await send(input, init);
      if (init?.method || !String(input).startsWith('/api/events') || !response.body) return response;
      const [forPage, kept] = response.body.tee();
      const reader = kept.pipeThrough(new TextDecoderStream()).getReader();
      const keep = async () => {
        for (let part = await reader.read(); !part.done; part = await reader.read()) page.heard += part.value;
      };
      keep().catch(() => {});
      return new Response(forPage, response);
    };
  });
const heard = async (page: Page) => {
  const text = await page.evaluate(() => (window as unknown as { heard: string }).heard);
  return [...text.matchAll(/^event: (.*)\ndata: (.*)$/gm)].map(([, event, data = '']) => ({
    event,
    ...JSON.parse(data),
  }));
};
const setPrice = (cents: number) =>
  server.psql('update veranstaltung set teilnahmegebuehr = $1 where id = $2', [cents, id]);
const openDemo = async (page: Page) => {
  await page.getByRole('button', { name: 'Zur Demo' }).click();
  await connected(page);
};

describeInBrowser('the connection', (pages) => {
  test('the server is stopped and started: the page recovers by itself, by replay of what it missed', async () => {
    running = await server.another(options());
    const page = await pages.open(url(), { prepare: keepStreams });
    await openDemo(page);
    await row(page, id).waitFor();
    await running.stop();
    await page.locator('.connection[data-status=waiting]').waitFor();
    await setPrice(700);
    await server.psql(
      `insert into anmeldung (veranstaltung_id, vorname, nachname, email, status)
      values ($1, 'Ada', 'Lovelace', 'ada@example.org', 'BESTAETIGT')`,
      [id],
    );
    running = await server.another(options());
    await row(page, id).getByText('7,00').waitFor();
    await row(page, id).getByText('1 / 20').waitFor();
    const events = await heard(page);
    expect(events.filter(({ event }) => event === 'connected').map(({ resumed }) => resumed)).toEqual([false, true]);
    expect(events.filter(({ event }) => event === 'table-update')).toEqual([
      expect.objectContaining({ resource: 'veranstaltung', operation: 'update', keys: [id] }),
      expect.objectContaining({ resource: 'anmeldung', operation: 'insert' }),
    ]);
  });

  test('the token expires: the page goes on with a new one, without losing anything', async () => {
    demoTokenS = 3;
    const page = await pages.open(url(), { prepare: keepStreams });
    await openDemo(page);
    demoTokenS = 3600;
    let cents = 0;
    await until(async () => {
      cents += 1;
      await setPrice(cents);
      return (await heard(page)).filter(({ event }) => event === 'connected').length === 2;
    });
    const changes = async () => (await heard(page)).filter(({ operation }) => operation === 'update').length;
    await until(async () => (await changes()) >= cents);
    const events = await heard(page);
    expect(events.filter(({ event }) => event === 'expired')).toHaveLength(1);
    expect(events.filter(({ reason }) => reason)).toEqual([]);
    await row(page, id)
      .getByText(`${(cents / 100).toFixed(2).replace('.', ',')}`)
      .waitFor();
  });

  test('two minutes of failures lead to a rest; the button, `online` and showing the tab each end it', async () => {
    const page = await pages.open(url(), { prepare: (tab) => tab.clock.install() });
    await openDemo(page);
    const ends: (() => Promise<void>)[] = [
      () => page.getByRole('button', { name: 'jetzt verbinden' }).click(),
      () => page.evaluate(() => window.dispatchEvent(new Event('online'))).then(() => {}),
      async () => {
        await setVisible(page, false);
        await setVisible(page, true);
      },
    ];
    for (const end of ends) {
      const before = running;
      running = { ...running, url: 'http://127.0.0.1:1' }; // nobody listens there
      way.cut();
      const resting = page.locator('.connection[data-status=resting]');
      // Waits of up to 30 s, passed over
      await until(async () => {
        await page.clock.fastForward(10_000);
        return resting.isVisible();
      });
      await page.locator('.connection').getByText('keine Verbindung').waitFor();
      running = before;
      await end();
      await connected(page);
    }
  });

  test('ten tabs over HTTP/1.1: hidden ones close their streams, and the visible one loads and saves', async () => {
    const tabs = [await pages.open(url(), { prepare: (tab) => tab.clock.install() })];
    await openDemo(tabs[0] as Page);
    while (tabs.length < 10) {
      const before = tabs.at(-1) as Page;
      await setVisible(before, false);
      await before.clock.fastForward(31_000);
      await before.locator('.connection[data-status=paused]').waitFor({ state: 'attached' });
      const tab = await pages.open(url(), { beside: before, prepare: (each) => each.clock.install() });
      await connected(tab);
      tabs.push(tab);
    }
    expect([...server.manager.clients()]).toHaveLength(1);
    const [first, last] = [tabs[0] as Page, tabs.at(-1) as Page];
    await row(last, id).getByRole('button', { name: 'bearbeiten' }).click();
    await until(async () => (await last.getByLabel('Name').inputValue()) === 'Lauf');
    await last.getByLabel('Ort').fill('Kiel');
    await last.getByRole('button', { name: 'Speichern' }).click();
    await row(last, id).getByText('Kiel').waitFor();
    // A tab that is shown again has missed nothing
    await setVisible(first, true);
    await connected(first);
    await row(first, id).getByText('Kiel').waitFor();
  });

  test('the last listener goes: the server hears of it', async () => {
    const page = await pages.open(url());
    await openDemo(page);
    const subscriptions = () => [...server.manager.clients()].map((client) => [...client.subscriptions.keys()].sort());
    await until(() => subscriptions()[0]?.join() === 'anmeldung,veranstaltung');
    await page.getByRole('button', { name: 'Abmelden' }).click();
    await until(() => subscriptions().flat().length === 0);
  });

  test('no token stays in a URL or in the log', async () => {
    const page = await pages.open(url());
    const urls: string[] = [];
    page.on('request', (request) => urls.push(request.url()));
    await openDemo(page);
    expect(urls.some((each) => each.includes('/api/events'))).toBe(true);
    expect(urls.filter((each) => /token=|eyJ/.test(each))).toEqual([]);
  });
});
