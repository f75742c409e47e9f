import { beforeEach, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { useTestServer } from '../../running-server.js';
import { until } from '../../until.js';
import { connected, describeInBrowser, row } from './browser.js';

const server = useTestServer({ readIntervalMs: 1000 });
let id: number;

/** What has the focus, as people call it. */
const focused = (page: Page) =>
  page.evaluate(() => {
    const { activeElement: element } = document;
    return (
      element?.getAttribute('aria-label') ?? (element?.tagName === 'BUTTON' ? element.textContent : element?.tagName)
    );
  });

describeInBrowser('the focus, and who is signed in', (pages) => {
  beforeEach(async () => {
    await server.psql('truncate veranstaltung cascade');
    const { rows } = await server.psql(`insert into veranstaltung
      (name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr)
      values ('Lauf', '2030-07-01', '2030-07-02', now(), '2030-06-01', 20, 0) returning id`);
    id = rows[0].id;
  });

  async function open(): Promise<Page> {
    const page = await pages.open(`${server.url}/#token=${await server.token({ sub: 'ada' })}`);
    await connected(page);
    await row(page, id).waitFor();
    return page;
  }

  test('returns from a dialog to what opened it, however it ends', async () => {
    const page = await open();
    for (const end of [
      () => page.keyboard.press('Escape'),
      () => page.getByRole('button', { name: 'Abbrechen' }).click(),
      () => page.getByRole('button', { name: 'Speichern' }).click(),
    ]) {
      await row(page, id).getByRole('button', { name: 'bearbeiten' }).press('Enter');
      await until(async () => (await page.getByLabel('Name').inputValue()) === 'Lauf');
      await end();
      await page.locator('dialog').waitFor({ state: 'detached' });
      expect(await focused(page)).toBe('Lauf bearbeiten');
    }
  });

  test('goes to the page, not nowhere, when the row that had it is deleted, and when another page opens', async () => {
    const page = await open();
    await row(page, id).getByRole('link').press('Enter');
    await page.getByText('Noch keine Anmeldungen.').waitFor();
    expect(await focused(page)).toBe('MAIN');
    expect(await page.title()).toBe('Lauf – Veranstaltungen');
    await page.getByRole('link', { name: 'Alle Veranstaltungen' }).press('Enter');
    await page.getByRole('button', { name: 'Lauf löschen' }).press('Enter');
    await page.getByRole('button', { name: 'Löschen', exact: true }).press('Enter');
    await page.locator('dialog').waitFor({ state: 'detached' });
    expect(await focused(page)).toBe('MAIN');
    expect(await page.title()).toBe('Veranstaltungen');
  });

  test('a token handed over in an open tab: it leaves the address, and nothing of the person before stays', async () => {
    const page = await open();
    const streamOf = () => [...server.manager.clients()].map(({ subject }) => subject);
    expect(streamOf()).toEqual(['ada']);
    const token = await server.token({ sub: 'grace' });
    const lists: (string | undefined)[] = [];
    page.on('request', (request) => {
      if (request.url().includes('/api/veranstaltungen?')) lists.push(request.headers().authorization);
    });
    await page.evaluate((jwt) => {
      location.hash = `#token=${jwt}`;
    }, token);
    await page.locator('.who').getByText('grace').waitFor();
    expect(new URL(page.url()).hash).toBe('#/');
    await until(() => streamOf().join() === 'grace');
    await connected(page);
    await until(() => lists.includes(`Bearer ${token}`));
    await server.psql(`update veranstaltung set ort = 'Kiel' where id = $1`, [id]);
    await row(page, id).getByText('Kiel').waitFor();
  });

  test('nothing is written into the console, and no rule of the Content-Security-Policy is broken', async () => {
    const said: string[] = [];
    const token = await server.token({ sub: 'ada' });
    const page = await pages.open(server.url);
    page.on('console', (message) => message.type() !== 'debug' && said.push(message.text()));
    page.on('pageerror', (error) => said.push(String(error)));
    await page.getByLabel('JSON Web Token').fill(token);
    await page.getByRole('button', { name: 'Anmelden' }).click();
    await connected(page);
    await row(page, id).getByRole('link').click();
    await page.getByRole('button', { name: 'Neue Anmeldung' }).click();
    await page.getByLabel('Vorname').waitFor();
    expect(said).toEqual([]);
  });
});
