import { beforeEach, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { useTestServer } from '../../running-server.js';
import { connected, describeInBrowser, row } from './browser.js';

const server = useTestServer({ demoToken: () => server.token({ sub: 'demo' }) });

const insertEvent = async (name: string): Promise<number> => {
  const { rows } = await server.psql(
    `insert into veranstaltung (name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr)
      values ($1, '2030-07-01', '2030-07-02', now(), '2030-06-01', 20, 1250) returning id`,
    [name],
  );
  return rows[0].id;
};
const insertAnmeldung = async (veranstaltungId: number, nachname: string, status = 'OFFEN'): Promise<number> => {
  const { rows } = await server.psql(
    `insert into anmeldung (veranstaltung_id, vorname, nachname, email, status)
      values ($1, 'Ada', $2, 'ada@example.org', $3) returning id`,
    [veranstaltungId, nachname, status],
  );
  return rows[0].id;
};

describeInBrowser('the open page follows raw SQL without a click', (pages) => {
  beforeEach(() => server.psql('truncate veranstaltung cascade'));

  async function openList(): Promise<Page> {
    const page = await pages.open(server.url);
    await page.getByRole('button', { name: 'Zur Demo' }).click();
    await connected(page);
    return page;
  }

  test('INSERT, UPDATE, DELETE and TRUNCATE, each without a read by the clock, and says by whom', async () => {
    const kept = await insertEvent('Bleibt');
    const page = await openList();
    await row(page, kept).waitFor();

    const id = await insertEvent('Lauf um die Alster');
    await row(page, id).waitFor();
    expect(await row(page, id).locator('.change').textContent()).toContain('neu über psql');

    await server.psql(`update veranstaltung set ort = 'Hamburg', teilnahmegebuehr = 0 where id = $1`, [id]);
    await row(page, id).getByText('Hamburg').waitFor();
    expect(await row(page, id).textContent()).toContain('frei');
    expect(await row(page, id).locator('.change').textContent()).toBe('über psql geändert');
    expect(await row(page, id).getAttribute('class')).toContain('marked');
    expect(await row(page, kept).getAttribute('class')).not.toContain('marked');

    await server.psql('delete from veranstaltung where id = $1', [id]);
    await row(page, id).waitFor({ state: 'detached' });

    await server.psql('truncate veranstaltung cascade');
    await page.getByText('Noch keine Veranstaltungen.').waitFor();
    // The mark goes by itself
    const again = await insertEvent('Noch einer');
    await page.locator('tr.marked').waitFor();
    await page.locator('tr.marked').waitFor({ state: 'detached' });
    await row(page, again).waitFor();
  });

  test('one event: its Anmeldungen, its own row, and the places taken and left', async () => {
    const id = await insertEvent('Lauf');
    const page = await openList();
    await row(page, id).getByRole('link').click();
    await page.getByText('0 von 20 Plätzen belegt, 20 frei, 0 offen').waitFor();
    const anmeldung = await insertAnmeldung(id, 'Lovelace');
    await page.getByText('0 von 20 Plätzen belegt, 20 frei, 1 offen').waitFor();
    await server.psql(`update anmeldung set status = 'BESTAETIGT' where id = $1`, [anmeldung]);
    await page.getByText('1 von 20 Plätzen belegt, 19 frei, 0 offen').waitFor();
    await row(page, anmeldung).locator('.change').getByText('über psql geändert', { exact: true }).waitFor();
    await server.psql(`update veranstaltung set max_teilnehmende = 1, name = 'Kurzer Lauf' where id = $1`, [id]);
    await page.getByText('1 von 1 Platz belegt, 0 frei').waitFor();
    await page.getByRole('heading', { name: 'Kurzer Lauf' }).waitFor();

    // Elsewhere nothing of this is to be seen
    await insertAnmeldung(await insertEvent('Anderer'), 'Hopper');
    await server.psql('delete from veranstaltung where id = $1', [id]);
    await page.getByText('Den Eintrag gibt es nicht mehr.').waitFor();
    expect(await page.getByText('Hopper').count()).toBe(0);
  });

  test('the list shows the places that are taken, from the other table', async () => {
    const id = await insertEvent('Lauf');
    const page = await openList();
    await row(page, id).getByText('0 / 20').waitFor();
    await insertAnmeldung(id, 'Lovelace', 'BESTAETIGT');
    await row(page, id).getByText('1 / 20').waitFor();
  });

  test('what changed while another page was shown is there on the way back', async () => {
    for (let i = 1; i <= 21; i += 1) await insertEvent(`Nummer ${String(i).padStart(2, '0')}`);
    const page = await openList();
    await page.getByRole('link', { name: 'Nummer 01' }).click();
    await page.getByRole('heading', { name: 'Nummer 01' }).waitFor();
    await server.psql(`update veranstaltung set ort = 'Kiel' where name = 'Nummer 01'`);
    await page.getByText('Kiel').waitFor();
    await page.goBack();
    await page.locator('tbody').getByText('Kiel').waitFor();

    await page.getByRole('button', { name: 'Weiter' }).click();
    await page.getByRole('link', { name: 'Nummer 21' }).waitFor();
    await server.psql(`update veranstaltung set ort = 'Husum' where name in ('Nummer 01', 'Nummer 21')`);
    await page.locator('tbody').getByText('Husum').waitFor();
    await page.getByRole('button', { name: 'Zurück' }).click();
    await page.getByRole('link', { name: 'Nummer 01' }).waitFor();
    await page.locator('tbody').getByText('Husum').waitFor();
  });

  test('who goes on to the next page at once misses nothing there', async () => {
    const id = await insertEvent('Lauf');
    const anmeldung = await insertAnmeldung(id, 'Lovelace');
    const page = await openList();
    await row(page, id).waitFor();
    // The code that ends the list's own subscription comes when the next page listens already.
    let hold: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      hold = resolve;
    });
    await page.route('**/subscription-calls*', (route) => held.then(() => route.continue()));
    await row(page, id).getByRole('link').click();
    await row(page, anmeldung).waitFor();
    hold();
    for (let i = 1; i <= 5; i += 1) {
      await server.psql('update anmeldung set kommentar = $1 where id = $2', [`Stand ${i}`, anmeldung]);
      await row(page, anmeldung).getByText(`Stand ${i}`).waitFor();
    }
  });

  test('two tabs follow, and share one sign-in', async () => {
    const one = await openList();
    const two = await pages.open(server.url, { beside: one });
    await connected(two);
    const id = await insertEvent('In beiden');
    await Promise.all([row(one, id).waitFor(), row(two, id).waitFor()]);
    await one.getByRole('button', { name: 'Abmelden' }).click();
    await two.getByRole('heading', { name: 'Anmelden' }).waitFor();
  });

  test('sorts, searches and pages, and keeps its place when something changes', async () => {
    for (let i = 1; i <= 43; i += 1) await insertEvent(`Nummer ${String(i).padStart(2, '0')}`);
    const page = await openList();
    await page.getByText('Seite 1 von 3, 43 Veranstaltungen').waitFor();
    await page.getByRole('button', { name: 'Name', exact: true }).click();
    await page.getByRole('button', { name: 'Name', exact: true }).click();
    await page.locator('tbody tr').first().getByText('Nummer 43').waitFor();
    await page.getByRole('button', { name: 'Weiter' }).click();
    await page.locator('tbody tr').first().getByText('Nummer 23').waitFor();
    await server.psql(`update veranstaltung set ort = 'Kiel' where name = 'Nummer 22'`);
    await page.getByText('Kiel').waitFor();
    await page.getByText('Seite 2 von 3').waitFor();
    await page.getByPlaceholder('Name oder Ort suchen').fill('kiel');
    await page.getByText('Seite 1 von 1, 1 Veranstaltung').waitFor();
    await page.getByPlaceholder('Name oder Ort suchen').fill('100%');
    await page.getByText('Nichts gefunden.').waitFor();
  });
});
