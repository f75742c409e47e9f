import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { useTestServer } from '../../running-server.js';
import { until } from '../../until.js';
import { connected, describeInBrowser, row } from './browser.js';

/** The way to the server and back, in ms. */
const LATENCY_MS = 150;
/** Between two writes of the others, in ms: three a second. */
const WRITE_MS = 333;

const server = useTestServer({ readIntervalMs: 1000 });
let event: number;
let ids: number[];
let writing: ReturnType<typeof setInterval> | undefined;
let written: Promise<unknown> = Promise.resolve();

beforeEach(async () => {
  await server.psql('truncate veranstaltung cascade');
  event = (
    await server.psql(`insert into veranstaltung
      (name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr, ort, beschreibung)
      values ('Lauf', '2030-07-01', '2030-07-02', '2030-01-01T08:00:17Z', '2030-06-01', 5, 1250, 'Kiel', 'Um die Förde')
      returning id`)
  ).rows[0].id;
  const { rows } = await server.psql(
    `insert into anmeldung (veranstaltung_id, vorname, nachname, email)
      select $1, 'Ada', 'Nr. ' || to_char(n, 'FM00'), 'ada' || n || '@example.org' from generate_series(1, 12) as n
      returning id`,
    [event],
  );
  ids = rows.map(({ id }) => id);
});

afterEach(async () => {
  clearInterval(writing);
  await written;
});

/** Others write a column of the rows in turn, three times a second. */
function writeBeside(column: string, rows = ids): void {
  let count = 0;
  writing = setInterval(() => {
    const id = rows[count % rows.length];
    count += 1;
    written = server.psql(`update anmeldung set ${column} = $1 where id = $2`, [`Stand ${count}`, id]);
  }, WRITE_MS);
}

const statuses = async () =>
  (await server.psql('select status from anmeldung order by id')).rows.map(({ status }) => status);
const stored = async (column: string, table = 'veranstaltung', id = event) =>
  (await server.psql(`select ${column} as value from ${table} where id = $1`, [id])).rows[0]?.value;

describeInBrowser('nothing that was typed or chosen is lost', (pages) => {
  async function open({ slow = false, path = `#/veranstaltungen/${event}` } = {}): Promise<Page> {
    const page = await pages.open(`${server.url}/#token=${await server.token({ sub: 'ada' })}`, {
      prepare: async (tab) => {
        if (!slow) return;
        await tab.route(/\/api\/(anmeldungen|veranstaltungen)/, async (route) => {
          await new Promise((resolve) => setTimeout(resolve, LATENCY_MS));
          await route.continue().catch(() => {});
        });
      },
    });
    await connected(page);
    await page.goto(`${server.url}/${path}`);
    await page.locator('tbody tr[data-id]').first().waitFor();
    return page;
  }
  const select = (page: Page, index: number) => row(page, ids[index] as number).locator('select');
  const dialog = (page: Page) => page.locator('dialog');
  const field = (page: Page, label: string) => dialog(page).getByLabel(label, { exact: true });
  const save = (page: Page) => dialog(page).getByRole('button', { name: 'Speichern', exact: true }).click();
  const edit = async (page: Page) => {
    await page.getByRole('button', { name: 'Bearbeiten', exact: true }).first().click();
    await until(async () => (await field(page, 'Name').inputValue()) === 'Lauf');
  };

  test('ten quick choices of a status at 150 ms, beside three writes a second: all are saved, and shown all the time', async () => {
    const page = await open({ slow: true });
    writeBeside('kommentar');
    await page.evaluate(() => {
      const lost: string[] = [];
      Object.assign(window, { lost });
      const chosen = new Map<string, string>();
      document.addEventListener('change', ({ target }) => {
        const { ariaLabel, value } = target as HTMLSelectElement;
        chosen.set(ariaLabel ?? '', value);
      });
      const look = () => {
        for (const each of document.querySelectorAll<HTMLSelectElement>('tbody select')) {
          const wanted = chosen.get(each.ariaLabel ?? '');
          if (wanted && each.value !== wanted) lost.push(`${each.ariaLabel}: ${each.value}`);
        }
        requestAnimationFrame(look);
      };
      look();
    });
    for (let i = 0; i < 10; i += 1) await select(page, i).selectOption('bestätigt');
    await until(async () => (await statuses()).filter((status) => status === 'BESTAETIGT').length === 10);
    await until(async () => (await page.locator('tbody select.waiting').count()) === 0);
    expect(await page.evaluate(() => (window as unknown as { lost: string[] }).lost)).toEqual([]);
    expect(await page.getByRole('alert').allTextContents()).toEqual([]);
    await page.getByText('Damit sind').waitFor(); // more than five
  });

  test('ten quick choices in one row that others write, too: the last one counts', async () => {
    const page = await open({ slow: true });
    writeBeside('kommentar', ids.slice(0, 1));
    for (let i = 0; i < 5; i += 1) {
      await select(page, 0).selectOption('bestätigt');
      await select(page, 0).selectOption('abgelehnt');
    }
    await until(async () => (await page.locator('tbody select.waiting').count()) === 0);
    expect([(await statuses())[0], await select(page, 0).inputValue()]).toEqual(['ABGELEHNT', 'ABGELEHNT']);
    expect(await page.getByRole('alert').allTextContents()).toEqual([]);
  });

  test('the arrows on the closed list save nothing until Enter, or until the focus goes on; Escape takes them back', async () => {
    const page = await open();
    const sent: string[] = [];
    page.on('request', (request) => request.method() === 'PATCH' && sent.push(request.postData() ?? ''));
    await select(page, 0).focus();
    for (const key of ['ArrowDown', 'ArrowDown', 'ArrowDown']) await page.keyboard.press(key);
    await page.getByText('Enter speichert, Esc verwirft').waitFor();
    expect(await select(page, 0).inputValue()).toBe('ABGELEHNT');
    await page.keyboard.press('Escape');
    expect(await select(page, 0).inputValue()).toBe('OFFEN');
    expect(sent).toEqual([]);

    for (const key of ['ArrowDown', 'ArrowDown', 'Enter']) await page.keyboard.press(key);
    await until(async () => (await statuses())[0] === 'STORNIERT');
    await select(page, 1).focus();
    for (const key of ['ArrowDown', 'Tab']) await page.keyboard.press(key);
    await until(async () => (await statuses())[1] === 'BESTAETIGT');
    expect(sent).toEqual(['{"status":"STORNIERT"}', '{"status":"BESTAETIGT"}']);
    expect(await page.getByRole('alert').allTextContents()).toEqual([]);
  });

  test('a list that was opened before a change writes nothing over it unseen', async () => {
    const page = await open();
    await select(page, 0).dispatchEvent('pointerdown');
    await server.psql(`update anmeldung set status = 'STORNIERT' where id = $1`, [ids[0]]);
    await until(async () => (await select(page, 0).inputValue()) === 'STORNIERT');
    await select(page, 0).selectOption('bestätigt');
    await page
      .getByText('Der Status ist inzwischen „storniert“. Die Wahl „bestätigt“ wurde nicht gespeichert.')
      .waitFor();
    expect((await statuses())[0]).toBe('STORNIERT');
    await page.getByRole('button', { name: 'Trotzdem „bestätigt“' }).click();
    await until(async () => (await statuses())[0] === 'BESTAETIGT');
    await page.getByText('Der Status ist inzwischen').waitFor({ state: 'detached' });
  });

  test('a status that could not be saved says why, and is saved at the second try', async () => {
    const page = await open();
    const refuse = { status: 503, json: { error: { code: 'unavailable', message: 'The database took too long' } } };
    await page.route('**/api/anmeldungen/*', (route) => route.fulfill(refuse), { times: 1 });
    await select(page, 0).selectOption('bestätigt');
    await page.getByText('Der Status wurde nicht gespeichert. Die Datenbank hat zu lange gebraucht.').waitFor();
    await until(async () => (await select(page, 0).inputValue()) === 'OFFEN');
    await page.getByRole('button', { name: 'Noch einmal' }).click();
    await until(async () => (await statuses())[0] === 'BESTAETIGT');
  });

  test('a form that could not be loaded takes nothing, and sends nothing; it loads by itself, or at a click', async () => {
    const page = await open();
    const sent: Record<string, string>[] = [];
    page.on('request', (request) => request.method() === 'PATCH' && sent.push(request.headers()));
    let refusals = 0;
    await page.route(`**/api/anmeldungen/${ids[0]}`, (route) => {
      refusals += 1;
      return route.fulfill({ status: 503, headers: { 'Retry-After': '10' }, json: {} });
    });
    await row(page, ids[0] as number)
      .getByRole('button', { name: 'bearbeiten' })
      .click();
    await dialog(page).getByText('Der Server ist gerade nicht bereit.').waitFor();
    expect(await field(page, 'Vorname').isDisabled()).toBe(true);
    await page.evaluate(() => document.querySelector('form')?.requestSubmit());
    await page.unroute(`**/api/anmeldungen/${ids[0]}`);
    await dialog(page).getByRole('button', { name: 'erneut laden' }).click();
    await until(async () => (await field(page, 'Vorname').inputValue()) === 'Ada');
    await field(page, 'Vorname').fill('Grace');
    await save(page);
    await dialog(page).waitFor({ state: 'detached' });
    expect(await stored('vorname', 'anmeldung', ids[0])).toBe('Grace');
    expect(refusals).toBe(1);
    expect(sent.map((headers) => /^".+"$/.test(headers['if-match'] ?? ''))).toEqual([true]);
  });

  test('a refetch that fails takes nothing away: neither the page, nor the form with what was typed; it is tried again', async () => {
    const page = await open();
    await edit(page);
    await field(page, 'Ort').fill('Eckernförde');
    const refused: string[] = [];
    await page.route(/\/api\/(anmeldungen|veranstaltungen)/, (route) => {
      refused.push(route.request().url());
      return route.fulfill({ status: 503, json: {} });
    });
    await server.psql(`update veranstaltung set name = 'Kurzer Lauf'`);
    await server.psql(`update anmeldung set vorname = 'Grace'`);
    await page.getByText('nicht aktuell. Der Server ist gerade nicht bereit.').first().waitFor({ state: 'attached' });
    await until(() => ['veranstaltungen/', 'anmeldungen?'].every((part) => refused.some((url) => url.includes(part))));
    expect(await field(page, 'Ort').inputValue()).toBe('Eckernförde');
    expect(await page.locator('tbody tr[data-id]').count()).toBe(12);
    expect(await page.locator('h1').textContent()).toBe('Lauf');
    await page.unroute(/\/api\/(anmeldungen|veranstaltungen)/);
    await page.locator('h1').getByText('Kurzer Lauf').waitFor();
    await page.getByText('Grace').first().waitFor();
    await page.getByText('nicht aktuell').first().waitFor({ state: 'detached' });
    expect([await field(page, 'Name').inputValue(), await field(page, 'Ort').inputValue()]).toEqual([
      'Kurzer Lauf',
      'Eckernförde',
    ]);
    await save(page);
    await dialog(page).waitFor({ state: 'detached' });
    expect([await stored('name'), await stored('ort')]).toEqual(['Kurzer Lauf', 'Eckernförde']);
  });

  test('two who edit one row: fields that only one has changed are merged, and people decide about the others alone', async () => {
    const page = await open({ slow: true });
    writeBeside('kommentar');
    await edit(page);
    await field(page, 'Ort').fill('Eckernförde');
    await field(page, 'Beschreibung').fill('Meine');
    await server.psql(
      `update veranstaltung set ort = 'Husum', name = 'Deren Lauf', beschreibung = 'Meine', max_teilnehmende = 7`,
    );
    await page.getByText('Was soll gelten?').waitFor();
    expect(await page.locator('.conflict dt').allTextContents()).toEqual(['Ort, jetzt:']);
    expect(await page.locator('.conflict dd').allTextContents()).toEqual(['Husum']);
    expect(await field(page, 'Name').inputValue()).toBe('Deren Lauf');
    await page.evaluate(() => document.querySelector('form')?.requestSubmit()); // not yet
    expect(await stored('ort')).toBe('Husum');
    await page.getByRole('button', { name: 'Ort: meine Eingabe behalten' }).click();
    await save(page);
    await dialog(page).waitFor({ state: 'detached' });
    const { rows } = await server.psql(
      'select name, ort, beschreibung, max_teilnehmende, meldebeginn from veranstaltung',
    );
    expect(rows).toEqual([
      {
        name: 'Deren Lauf',
        ort: 'Eckernförde',
        beschreibung: 'Meine',
        max_teilnehmende: 7,
        meldebeginn: new Date('2030-01-01T08:00:17Z'),
      },
    ]);
  });

  test('a form in which nothing was typed takes the new row silently', async () => {
    const page = await open();
    await edit(page);
    await server.psql(`update veranstaltung set name = 'Deren Lauf', ort = null`);
    await until(async () => (await field(page, 'Name').inputValue()) === 'Deren Lauf');
    expect(await field(page, 'Ort').inputValue()).toBe('');
    expect(await dialog(page).getByRole('alert').count()).toBe(0);
    await page.keyboard.press('Escape');
    await dialog(page).waitFor({ state: 'detached' });
  });

  test('a row that others write all the time is saved all the same', async () => {
    const page = await open({ slow: true });
    writeBeside('kommentar', ids.slice(0, 1));
    await row(page, ids[0] as number)
      .getByRole('button', { name: 'bearbeiten' })
      .click();
    await until(async () => (await field(page, 'Vorname').inputValue()) === 'Ada');
    await field(page, 'Vorname').fill('Grace');
    await save(page);
    await dialog(page).waitFor({ state: 'detached' });
    expect(await stored('vorname', 'anmeldung', ids[0])).toBe('Grace');
    expect(await stored('kommentar', 'anmeldung', ids[0])).toMatch(/^Stand /);
  });

  test('a row that is deleted under what was typed can be made anew', async () => {
    const page = await open();
    await row(page, ids[0] as number)
      .getByRole('button', { name: 'bearbeiten' })
      .click();
    await until(async () => (await field(page, 'Vorname').inputValue()) === 'Ada');
    await field(page, 'Vorname').fill('Grace');
    await server.psql('delete from anmeldung where id = $1', [ids[0]]);
    await page.getByText('Was Sie eingegeben haben, lässt sich neu anlegen.').waitFor();
    await page.getByRole('button', { name: 'Neu anlegen' }).click();
    await dialog(page).waitFor({ state: 'detached' });
    await page.getByRole('row', { name: 'Grace' }).waitFor();
  });

  test('a deletion asks again about a row that has changed, and works then', async () => {
    const page = await open();
    await row(page, ids[0] as number)
      .getByRole('button', { name: 'löschen' })
      .click();
    await server.psql(`update anmeldung set kommentar = 'Bitte behalten' where id = $1`, [ids[0]]);
    const remove = dialog(page).getByRole('button', { name: 'Löschen' });
    await remove.click();
    await dialog(page).getByText('Der Eintrag wurde inzwischen geändert. Trotzdem löschen?').waitFor();
    await dialog(page).getByText('Kommentar: Bitte behalten').waitFor();
    await remove.click();
    await page.getByText('Die Anmeldung von Ada Nr. 01 wurde gelöscht.').waitFor();
    expect(await stored('id', 'anmeldung', ids[0])).toBeUndefined();
  });

  test("the browser's back, Escape and a closing tab ask before they discard", async () => {
    const page = await open();
    await edit(page);
    await field(page, 'Ort').fill('Eckernförde');
    await page.keyboard.press('Escape');
    await dialog(page).getByText('Eingaben verwerfen?').waitFor();
    await page.keyboard.press('Escape');
    await dialog(page).getByText('Eingaben verwerfen?').waitFor({ state: 'detached' });
    await page.goBack();
    expect(await field(page, 'Ort').inputValue()).toBe('Eckernförde');
    expect(new URL(page.url()).hash).toBe(`#/veranstaltungen/${event}`);
    await dialog(page).getByRole('button', { name: 'Abbrechen' }).click();
    await dialog(page).getByRole('button', { name: 'Verwerfen' }).click();
    await dialog(page).waitFor({ state: 'detached' });
    expect(await stored('ort')).toBe('Kiel');
  });
});
