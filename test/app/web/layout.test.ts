import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { beforeAll, expect, test } from '@jest/globals';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import { useTestServer } from '../../running-server.js';
import { connected, describeInBrowser, resize } from './browser.js';

const SIZES = [
  [360, 740],
  [390, 844],
  [768, 1024],
  [820, 1180],
  [1024, 768],
  [1050, 800],
  [1279, 800],
  [1280, 800],
  [1440, 900],
  [1920, 1080],
  [2560, 1440],
] as const;

const server = useTestServer({ readIntervalMs: 1000 });
let event: number;

beforeAll(async () => {
  const { rows } = await server.psql(`insert into veranstaltung
    (name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr, ort, beschreibung)
    select 'Wanderwochenende im Harz ' || n, '2030-12-24', '2030-12-31', '2030-01-01', '2030-06-01', 10, 1250 * n,
      'Schierke', 'Zwei Tage über den Brocken, mit Übernachtung.' from generate_series(1, 25) as n returning id`);
  event = rows[0].id;
  await server.psql(
    `insert into anmeldung (veranstaltung_id, vorname, nachname, email, status, kommentar, erstellt_am)
      select $1, 'Ulrike', 'Müller ' || n, 'ulrike.mueller-' || n || '@example.org',
        (array['OFFEN', 'BESTAETIGT', 'STORNIERT', 'ABGELEHNT'])[1 + n % 4], 'Braucht eine Rechnung', '2030-12-24 13:30Z'
      from generate_series(1, 45) as n`,
    [event],
  );
});

describeInBrowser('the layout', (pages) => {
  async function open(path: string, options: { colorScheme?: 'light' | 'dark' } = {}): Promise<Page> {
    const page = await pages.open(`${server.url}/#token=${await server.token({ sub: 'ada' })}`, {
      timezoneId: 'Europe/Berlin',
      ...options,
    });
    await connected(page);
    await page.goto(`${server.url}/${path}`);
    await page.locator('tbody tr[data-id]').first().waitFor();
    return page;
  }

  /** What does not fit: the page, a cell's content, or two cells that lie over each other. */
  const misfits = (page: Page) =>
    page.evaluate(() => {
      const found: string[] = [];
      const { scrollWidth } = document.documentElement;
      if (scrollWidth > window.innerWidth) found.push(`the page is ${scrollWidth} wide`);
      const table = document.querySelector('table')?.getBoundingClientRect();
      for (const row of [...document.querySelectorAll('tr')].slice(0, 6)) {
        const cells = [...row.children].map((cell) => ({ cell, box: cell.getBoundingClientRect() }));
        for (const { cell, box } of cells) {
          if (cell.scrollWidth > cell.clientWidth + 1)
            found.push(`too narrow: ${cell.className} ${cell.textContent?.trim()}`);
          for (const inner of cell.querySelectorAll('a, button, select, input')) {
            const { left, right } = inner.getBoundingClientRect();
            if (right > (table?.right ?? 0) + 1 || left < (table?.left ?? 0) - 1)
              found.push(`outside: ${inner.textContent}`);
          }
          const over = cells.find(
            (other) =>
              other.cell !== cell &&
              box.width > 0 &&
              other.box.width > 0 &&
              box.left < other.box.right - 1 &&
              other.box.left < box.right - 1 &&
              box.top < other.box.bottom - 1 &&
              other.box.top < box.bottom - 1,
          );
          if (over) found.push(`${cell.className} lies over ${over.cell.className}`);
        }
      }
      // Dates in one line
      for (const cell of document.querySelectorAll('td.angemeldet, td.termin')) {
        const range = document.createRange();
        range.selectNodeContents(cell);
        const lines = new Set([...range.getClientRects()].map(({ top }) => Math.round(top / 8)));
        if (lines.size > 1) found.push(`in ${lines.size} lines: ${cell.textContent}`);
      }
      return [...new Set(found)];
    });

  test('is right at every width: nothing overflows, nothing overlaps, dates stand in one line, head and content align', async () => {
    const found: Record<string, string[]> = {};
    for (const path of ['#/', `#/veranstaltungen/${event}`]) {
      const page = await open(path);
      for (const [width, height] of SIZES) {
        await resize(page, width, height);
        const edges = await page.evaluate(() => {
          const left = (selector: string) => document.querySelector(selector)?.getBoundingClientRect().left;
          return [left('.head .title'), left('main h1'), left('main table')];
        });
        const problems = [...(await misfits(page)), ...(new Set(edges).size > 1 ? [`not aligned: ${edges}`] : [])];
        if (problems.length > 0) found[`${path} at ${width}`] = problems;
      }
    }
    expect(found).toEqual({});
  });

  test('twenty rows fit a screen of 1080 lines, of both lists', async () => {
    for (const path of ['#/', `#/veranstaltungen/${event}`]) {
      const page = await open(path);
      await resize(page, 1920, 1080);
      const bottom = await page.evaluate(() => {
        const rows = [...document.querySelectorAll('tbody tr')];
        return { rows: rows.length, bottom: rows.at(-1)?.getBoundingClientRect().bottom };
      });
      expect(bottom.rows).toBe(20);
      expect(bottom.bottom).toBeLessThan(1080);
    }
  });

  test('a phone can do what a desk can: sort, search, filter, page, choose, edit, delete, export and print', async () => {
    const page = await open(`#/veranstaltungen/${event}`);
    await resize(page, 390, 844);
    await page.getByLabel('Reihenfolge', { exact: true }).selectOption('nach E-Mail');
    await page.getByLabel('Reihenfolge umkehren').click();
    await page.locator('tbody tr').first().getByText('ulrike.mueller-9@').waitFor();
    await page.getByLabel('Anzeigen').selectOption('nur storniert');
    await page.getByText('11 Anmeldungen').waitFor();
    for (const name of ['CSV', 'Neue Anmeldung', 'Weiter']) {
      expect(await page.getByRole('button', { name }).isVisible()).toBe(true);
    }
    expect(await page.getByRole('link', { name: 'Druckansicht' }).isVisible()).toBe(true);
    await page.locator('tbody input[type=checkbox]').first().check();
    await page.getByRole('button', { name: 'Bestätigen' }).click();
    await page.getByRole('button', { name: 'Abbrechen' }).click();
    await page.getByRole('button', { name: 'bearbeiten' }).nth(1).click();
    await page.getByLabel('Vorname').waitFor();
    expect(await misfits(page)).toEqual([]);
  });

  test.each([
    ['light', 390, 844, 'abgelehnt'],
    ['light', 1440, 900, 'storniert'],
    ['dark', 390, 844, 'offen'],
    ['dark', 1440, 900, 'bestätigt'],
  ] as const)(
    'axe finds nothing wrong, %s, %i px wide: list, form, question, message, print view',
    async (colorScheme, width, height, choice) => {
      const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
      const found: string[] = [];
      const look = async (where: string) => {
        const { violations } = await page.evaluate<AxeResults>('axe.run()');
        for (const { id, nodes } of violations)
          found.push(`${where}: ${id} ${nodes.map(({ html }) => html).slice(0, 2)}`);
      };
      const page = await open('#/', { colorScheme });
      await resize(page, width, height);
      await page.evaluate(axe);
      await look('list');
      await page.getByRole('button', { name: 'Neue Veranstaltung' }).click();
      await page.getByRole('button', { name: 'Speichern' }).click();
      await page.locator('dialog .field .problem').first().waitFor();
      await page.locator('dialog').getByLabel('Ort').fill('Kiel');
      await page.keyboard.press('Escape');
      await look('form with problems and a question');
      await page.getByRole('button', { name: 'Verwerfen' }).click();
      await page.goto(`${server.url}/#/veranstaltungen/${event}`);
      await page.locator('tbody select').first().waitFor();
      await page.locator('tbody input[type=checkbox]').first().check();
      await page.locator('tbody select').nth(1).selectOption(choice);
      await page.getByText(`${choice}, gespeichert.`).waitFor();
      await look('event with a choice and a message');
      await page.getByRole('button', { name: 'löschen' }).first().click();
      await page.getByText('wird gelöscht').waitFor();
      await look('deletion');
      await page.keyboard.press('Escape');
      await page.getByRole('link', { name: 'Druckansicht' }).click();
      await page.getByRole('button', { name: 'Drucken' }).waitFor();
      await page.locator('tbody tr').nth(40).waitFor();
      await look('print view');
      expect(found).toEqual([]);
    },
  );
});
