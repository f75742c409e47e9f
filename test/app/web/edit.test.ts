import { beforeEach, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { useTestServer } from '../../running-server.js';
import { until } from '../../until.js';
import { connected, describeInBrowser, resize, row } from './browser.js';

const server = useTestServer({ readIntervalMs: 1000 });
let id: number;

describeInBrowser('editing', (pages) => {
  beforeEach(async () => {
    const { rows } = await server.psql(`truncate veranstaltung cascade`).then(() =>
      server.psql(`insert into veranstaltung
        (name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr)
        values ('Lauf', '2030-07-01', '2030-07-02', '2030-01-01T08:00:17Z', '2030-06-01', 20, 1250) returning id`),
    );
    id = rows[0].id;
  });

  /** Signed in with a token that another application hands over. */
  async function open(path = '', sub = 'ada'): Promise<Page> {
    const page = await pages.open(`${server.url}/#token=${await server.token({ sub })}`);
    await connected(page);
    if (path) await page.goto(`${server.url}/${path}`);
    return page;
  }
  const stored = async (column: string) =>
    (await server.psql(`select ${column} as value from veranstaltung where id = $1`, [id])).rows[0]?.value;
  const edit = async (page: Page) => {
    await row(page, id).getByRole('button', { name: 'bearbeiten' }).click();
    await until(async () => (await page.getByLabel('Name').inputValue()) === 'Lauf');
  };

  test('the token that was handed over leaves the address', async () => {
    const page = await open();
    expect(new URL(page.url()).hash).toBe('#/');
    expect(await page.evaluate(() => history.length)).toBeLessThanOrEqual(2);
    expect(await page.locator('.who').textContent()).toBe('ada');
  });

  test('creates, changes and deletes, by keyboard alone; a page does not announce its own change to itself', async () => {
    const page = await open();
    const other = await pages.open(server.url, { beside: page });
    await connected(other);
    await page.getByRole('button', { name: 'Neue Veranstaltung' }).focus();
    await page.keyboard.press('Enter');
    await page.keyboard.type('Fest');
    for (const [label, value] of Object.entries({ Beginn: '2031-05-01', Meldeschluss: '2031-04-01T12:00' })) {
      await page.getByLabel(label, { exact: true }).fill(value);
    }
    await page.keyboard.press('Enter');
    await page.locator('dialog').waitFor({ state: 'detached' });
    await page.getByRole('link', { name: 'Fest' }).waitFor();
    await other.locator('tr.marked').getByText('neu von ada').waitFor();
    expect(await page.locator('tr.marked td.change').allTextContents()).toEqual(['gespeichert']);

    await page.getByRole('button', { name: 'Fest löschen' }).press('Enter');
    await page.getByText('„Fest“ (01.05.2031) wird gelöscht, ohne Anmeldungen.').waitFor();
    await page.keyboard.press('Escape');
    await page.locator('dialog').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Fest löschen' }).press('Enter');
    await page.getByText('wird gelöscht').waitFor();
    await page.getByRole('button', { name: 'Löschen', exact: true }).press('Enter');
    await page.getByText('„Fest“ wurde gelöscht.').waitFor();
    await page.getByRole('link', { name: 'Fest' }).waitFor({ state: 'detached' });
  });

  test('deletes only what was shown: what others have changed meanwhile is shown, and asked about again', async () => {
    const page = await open();
    const remove = page.getByRole('button', { name: 'Löschen', exact: true });
    await page.getByRole('button', { name: 'Lauf löschen' }).click();
    await page.getByText('(01.07.2030 – 02.07.2030) wird gelöscht, ohne Anmeldungen.').waitFor();
    await server.psql(`update veranstaltung set ort = 'Kiel' where id = $1`, [id]);
    await remove.click();
    await page.getByText('Die Veranstaltung wurde inzwischen geändert. Trotzdem löschen?').waitFor();
    await page.getByText('(01.07.2030 – 02.07.2030, Kiel) wird gelöscht').waitFor();
    await server.psql(
      `insert into anmeldung (veranstaltung_id, vorname, nachname, email)
        select $1, 'Ada', 'Nr. ' || n, 'ada@example.org' from generate_series(1, 2) as n`,
      [id],
    );
    await remove.click();
    await page.getByText('Inzwischen sind Anmeldungen dazugekommen: 2. Trotzdem löschen?').waitFor();
    await page.getByText('mit 2 Anmeldungen').waitFor();
    expect(await stored('name')).toBe('Lauf');
    await remove.click();
    await row(page, id).waitFor({ state: 'detached' });
    await page.getByText('„Lauf“ wurde gelöscht.').waitFor();
  });

  test('saves what was typed, and no more', async () => {
    const page = await open();
    await edit(page);
    await page.getByLabel('Ort').fill('Kiel');
    await page.getByRole('button', { name: 'Speichern' }).click();
    await row(page, id).getByText('Kiel').waitFor();
    // The form shows no seconds
    expect((await stored('meldebeginn')).toISOString()).toBe('2030-01-01T08:00:17.000Z');
  });

  test('a row that changes under the form says so at once; saving leaves the choice: theirs', async () => {
    const page = await open();
    await edit(page);
    await page.getByLabel('Name').fill('Mein Lauf');
    await server.psql(`update veranstaltung set name = 'Deren Lauf' where id = $1`, [id]);
    await page.getByText('Der Eintrag wurde gerade über psql geändert. Was soll gelten?').waitFor();
    expect(await page.locator('.conflict dd').allTextContents()).toEqual(['Deren Lauf']);
    await page.getByRole('button', { name: 'neuen Stand übernehmen' }).click();
    await until(async () => (await page.getByLabel('Name').inputValue()) === 'Deren Lauf');
    await page.getByLabel('Ort').fill('Kiel');
    await page.getByRole('button', { name: 'Speichern' }).click();
    await page.locator('dialog').waitFor({ state: 'detached' });
    expect([await stored('name'), await stored('ort')]).toEqual(['Deren Lauf', 'Kiel']);
  });

  test('never a silent overwrite: the server refuses, whatever the page has heard; then mine over theirs', async () => {
    const page = await open();
    await edit(page);
    await page.getByLabel('Name').fill('Mein Lauf');
    // The page hears nothing more: only If-Match stands between
    await page.evaluate(() => {
      const send = window.fetch;
      window.fetch = (...request) =>
        String(request[0]).includes('/api/events') ? new Promise(() => {}) : send(...request);
    });
    for (const client of server.manager.clients()) client.end('its token ended');
    await page.locator('.connection[data-status=connecting]').waitFor();
    await server.psql(`update veranstaltung set name = 'Deren Lauf' where id = $1`, [id]);
    await page.getByRole('button', { name: 'Speichern' }).click();
    await page.getByText('Was soll gelten?').waitFor();
    expect(await stored('name')).toBe('Deren Lauf');
    await page.getByRole('button', { name: 'meine Eingabe behalten' }).click();
    await page.getByRole('button', { name: 'Speichern' }).click();
    await page.locator('dialog').waitFor({ state: 'detached' });
    expect(await stored('name')).toBe('Mein Lauf');
  });

  test('the choice is in sight on a phone, however long the form, and covers no field that gets the focus', async () => {
    const page = await open();
    await resize(page, 360, 740);
    await edit(page);
    await page.getByLabel('Name').fill('Mein Lauf');
    await server.psql(`update veranstaltung set name = 'Deren Lauf', ort = 'Kiel' where id = $1`, [id]);
    await page.getByText('Was soll gelten?').waitFor();
    const top = async (of: string) => (await page.locator(of).boundingBox())?.y ?? Number.NaN;
    expect(await top('.conflict')).toBeLessThan(500);
    // To the form's last field
    for (let i = 0; i < 60 && (await page.locator('dialog textarea:focus').count()) === 0; i += 1) {
      await page.keyboard.press('Tab');
    }
    expect(await top('dialog textarea:focus')).toBeLessThan(await top('.conflict'));
  });

  test('a change while the form still loads is not missed', async () => {
    const page = await open();
    let first = true;
    await page.route(`**/api/veranstaltungen/${id}`, async (route) => {
      if (!first) return route.continue();
      first = false;
      const old = await route.fetch();
      await server.psql(`update veranstaltung set name = 'Deren Lauf' where id = $1`, [id]);
      await row(page, id).getByText('Deren Lauf').waitFor();
      await route.fulfill({ response: old });
    });
    await edit(page);
    await until(async () => (await page.getByLabel('Name').inputValue()) === 'Deren Lauf');
  });

  test('a row that is deleted under the form', async () => {
    const page = await open();
    await edit(page);
    await server.psql('delete from veranstaltung');
    await page.getByText('Der Eintrag wurde gerade gelöscht.').waitFor();
    expect(await page.getByRole('button', { name: 'Speichern' }).isDisabled()).toBe(true);
  });

  test('a status, and one that somebody else has set meanwhile', async () => {
    const { rows } = await server.psql(
      `insert into anmeldung (veranstaltung_id, vorname, nachname, email)
        values ($1, 'Grace', 'Hopper', 'grace@example.org') returning id`,
      [id],
    );
    const page = await open(`#/veranstaltungen/${id}`);
    const select = page.getByLabel('Status von Grace Hopper');
    await select.selectOption('bestätigt');
    await page.getByText('1 von 20 Plätzen belegt').waitFor();
    // The page's change arrives after another's
    await page.route('**/api/anmeldungen/*', async (route) => {
      if (route.request().method() === 'PATCH') {
        await server.psql(`update anmeldung set status = 'ABGELEHNT' where id = $1`, [rows[0].id]);
      }
      await route.continue();
    });
    await select.selectOption('storniert');
    await page.getByText('Grace Hopper: Der Status ist inzwischen „abgelehnt“.').waitFor();
    await until(async () => (await select.inputValue()) === 'ABGELEHNT');
  });

  test('what is wrong is said at its field, in German: by the page, and by the server', async () => {
    const page = await open();
    await edit(page);
    const problem = (label: string) =>
      page
        .locator('.field')
        .filter({ has: page.getByLabel(label, { exact: true }) })
        .locator('.problem');
    await page.getByLabel('Ende').fill('2030-06-01');
    await page.getByLabel('Name').fill('   ');
    await page.getByRole('button', { name: 'Speichern' }).click();
    await problem('Ende').getByText('Nicht vor dem 01.07.2030.').waitFor();
    await problem('Name').getByText('Bitte ausfüllen.').waitFor();
    expect(await page.evaluate(() => document.activeElement?.getAttribute('name'))).toBe('name');
    await page.getByLabel('Name').fill('Lauf');
    await problem('Name').waitFor({ state: 'detached' });

    await page.evaluate(() => document.querySelector('[name=ende]')?.removeAttribute('min'));
    await page.getByRole('button', { name: 'Speichern' }).click();
    await page.getByText('Bitte prüfen: Beginn, Ende.').waitFor();
    await problem('Ende').getByText('Das passt nicht zu den anderen Angaben.').waitFor();
  });

  test('a token that the server does not take leads back to the sign-in, and what is no token is named', async () => {
    const page = await pages.open(server.url);
    await page.getByLabel('JSON Web Token').fill('kein Token');
    await page.getByRole('button', { name: 'Anmelden' }).click();
    await page.getByText('Das ist kein JWT').waitFor();
    await page.getByLabel('JSON Web Token').fill('eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl');
    await page.getByRole('button', { name: 'Anmelden' }).click();
    await page.getByText('Sitzung abgelaufen').first().waitFor();
    expect(await page.getByRole('button', { name: 'Zur Demo' }).count()).toBe(0);
  });

  test('fits a phone: nothing is wider than the page', async () => {
    const page = await open();
    await resize(page, 360, 740);
    await row(page, id).waitFor();
    const widest = () => page.evaluate(() => document.documentElement.scrollWidth);
    expect(await widest()).toBe(360);
    await row(page, id).getByRole('link').click();
    await page.getByText('Noch keine Anmeldungen.').waitFor();
    expect(await widest()).toBe(360);
    await page.getByRole('button', { name: 'Bearbeiten' }).click();
    await page.getByLabel('Name').waitFor();
    expect(await widest()).toBe(360);
  });

  test('a refresh moves nothing', async () => {
    const page = await open();
    await row(page, id).waitFor();
    const boxes = () =>
      page.evaluate(() =>
        [...document.querySelectorAll('table, th, td, nav')].map((each) => {
          const { x, y, width, height } = each.getBoundingClientRect();
          return [x, y, width, height];
        }),
      );
    const before = await boxes();
    await server.psql(`set application_name = 'Auswertung der Anmeldungen, nachts';
      update veranstaltung set teilnahmegebuehr = 0; reset application_name`);
    await row(page, id).getByText('frei').waitFor();
    await page.locator('tr.marked').waitFor();
    expect(await boxes()).toEqual(before);
  });
});
