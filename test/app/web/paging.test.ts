import { expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { until } from '../../until.js';
import { connected, describeInBrowser, row } from './browser.js';
import { namesOn, openEvent, register, useOffice } from './office-page.js';

// Pages of a list, and what its address holds of it.

const office = useOffice();

describeInBrowser('pages of a list', (pages) => {
  const open = (query?: string) => openEvent(pages, office, query);
  const pageField = (page: Page) => page.getByLabel('Seite', { exact: true });

  test('the last page that others have emptied goes back one', async () => {
    await register(office, 41);
    const page = await open('?seite=3');
    await page.getByText('Seite 3 von 3, 41 Anmeldungen').waitFor();
    await office.server.psql(`delete from anmeldung where nachname = 'Nr. 041'`);
    await page.getByText('Seite 2 von 2, 40 Anmeldungen').waitFor();
    await row(
      page,
      (await office.server.psql(`select id from anmeldung where nachname = 'Nr. 040'`)).rows[0].id,
    ).waitFor();
    await office.server.psql('delete from anmeldung');
    await page.getByText('Noch keine Anmeldungen.').waitFor();
  });

  test('the page that is being typed stays in its field while others write; leaving it unsaid takes it back', async () => {
    await register(office, 45);
    const page = await open();
    await pageField(page).fill('2');
    await office.server.psql(`update anmeldung set kommentar = 'vegetarisch' where nachname = 'Nr. 001'`);
    await page.locator('td.kommentar', { hasText: 'vegetarisch' }).waitFor();
    expect(await pageField(page).inputValue()).toBe('2');
    await page.keyboard.press('Enter');
    await page.getByText('Seite 2 von 3, 45 Anmeldungen').waitFor();
    await pageField(page).fill('99');
    await page.keyboard.press('Tab');
    await page.getByText('Seite 3 von 3, 45 Anmeldungen').waitFor();
    await until(async () => (await pageField(page).inputValue()) === '3');
    await pageField(page).fill('');
    await page.keyboard.press('Enter');
    await until(async () => (await pageField(page).inputValue()) === '3');
  });

  test('the address holds page, size, sorting, search and filter; back and reload return there, as far down as before', async () => {
    await register(office, 130);
    const page = await open();
    await page.getByLabel('Zeilen je Seite').selectOption('50');
    await page.getByRole('button', { name: 'Name', exact: true }).click();
    await pageField(page).fill('2');
    await page.keyboard.press('Enter');
    await page.getByText('Seite 2 von 3, 130 Anmeldungen').waitFor();
    await until(async () => (await namesOn(page))[0]?.includes('Nr. 080') ?? false);
    expect(new URL(page.url()).hash).toBe(
      `#/veranstaltungen/${office.event}?zeilen=50&sort=-nachname%2Cvorname&seite=2`,
    );
    // By script, for a wheel's movement goes on while the test reads how far it is.
    await page.evaluate(() => window.scrollTo(0, 700));
    const firstSeen = () =>
      page.evaluate(() => {
        const rows = [...document.querySelectorAll<HTMLElement>('tbody tr[data-id]')];
        return rows.find((each) => each.getBoundingClientRect().top >= 100)?.textContent;
      });
    const seen = await firstSeen();
    const isBack = async () => {
      await page.getByText('Seite 2 von 3, 130 Anmeldungen').waitFor();
      await connected(page);
      await until(async () => (await firstSeen()) === seen, 'the same row at the top');
      expect((await namesOn(page))[0]).toContain('Nr. 080');
    };
    await page.evaluate(() => document.querySelector<HTMLElement>('.back a')?.click());
    await page.getByRole('heading', { name: 'Veranstaltungen' }).waitFor();
    await page.goBack();
    await isBack();
    await page.reload();
    await isBack();
    await page.getByPlaceholder('Name, E-Mail oder Kommentar suchen').fill('Nr. 01');
    await page.getByText('Seite 1 von 1, 10 Anmeldungen').waitFor();
    await page.getByLabel('Anzeigen').selectOption('nur bestätigt');
    await page.getByText('Nichts gefunden.').waitFor();
    await page.goBack();
    await page.getByText('Seite 1 von 1, 10 Anmeldungen').waitFor();
  });

  test('a page that is loaded while there is no connection shows the same rows when the banner goes', async () => {
    await register(office, 100);
    const page = await open('?zeilen=100');
    await row(page, (await office.server.psql(`select max(id) as id from anmeldung`)).rows[0].id).waitFor();
    await page.evaluate(() => window.scrollTo(0, 700));
    const topOf = () =>
      page.evaluate(() => document.querySelectorAll('tbody tr[data-id]')[30]?.getBoundingClientRect().top ?? 0);
    const before = await topOf();
    await page.route('**/api/events**', (route) => route.abort());
    // The rows wait until the banner is there
    let showRows = () => {};
    const shown = new Promise<void>((resolve) => {
      showRows = resolve;
    });
    await page.route('**/api/anmeldungen**', async (route) => {
      await shown;
      await route.continue();
    });
    await page.reload();
    await page.locator('.banner').waitFor();
    showRows();
    await until(async () => (await topOf()) !== 0);
    await page.unroute('**/api/events**');
    await connected(page);
    await page.locator('.banner').waitFor({ state: 'detached' });
    await until(async () => Math.abs((await topOf()) - before) < 2, 'the same rows at the same place');
  });
});
