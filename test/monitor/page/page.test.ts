import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { afterEach, beforeAll, expect, test } from '@jest/globals';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import type { RunningServer } from '../../../src/koa/server.js';
import { describeInBrowser } from '../../app/web/browser.js';
import { type EventStream, openStream } from '../../event-stream.js';
import { useTestServer } from '../../running-server.js';
import { until } from '../../until.js';
import { openMonitor } from './served-monitor.js';

// The page of the monitor, in a browser.

const server = useTestServer({ monitor: true, readIntervalMs: 1000 });
let other: RunningServer;
let streams: EventStream[] = [];
let writing: NodeJS.Timeout | undefined;

beforeAll(async () => {
  other = await server.another();
  await server.psql(`create table zimmer (id int primary key, haus int, geheim text);
    select change_feed.watch('zimmer', scopes => '{haus}');
    insert into zimmer select n, n, 'geheim' from generate_series(1, 100) n`);
});

afterEach(() => {
  clearInterval(writing);
  for (const stream of streams) stream.close();
  streams = [];
});

async function openReader(sub: string, query: string, { url } = other): Promise<EventStream> {
  const stream = await openStream(`${url}/api/events?${query}`, {
    Authorization: `Bearer ${await server.token({ sub })}`,
  });
  streams.push(stream);
  await stream.clientId();
  return stream;
}

/** Writes so many changes a second, for a while or until the test ends. */
function write(perSecond: number): void {
  let count = 0;
  writing = setInterval(() => {
    count += 1;
    server.psql(`update zimmer set haus = haus + 1 where id = ${1 + (count % 100)}`).catch(() => {});
  }, 1000 / perSecond);
}

const rows = (page: Page) => page.locator('.list .row');

describeInBrowser('the page', (pages) => {
  test('asks for a token, says why one is refused, and keeps it out of the address', async () => {
    const page = await pages.open(`${server.url}/monitor`);
    await page.getByLabel('Token mit dem Recht monitor').fill(await server.token({ sub: 'ada' }));
    await page.getByRole('button', { name: 'Anmelden' }).click();
    await page.getByRole('alert').waitFor();
    expect(await page.getByRole('alert').textContent()).toContain('no right to the monitor');
    const token = await server.token({ sub: 'admin', monitor: true });
    await page.getByLabel('Token mit dem Recht monitor').fill(token);
    await page.getByRole('button', { name: 'Anmelden' }).click();
    await page.locator('.status[data-status=live]').waitFor();
    await page.getByRole('button', { name: 'Abmelden' }).click();
    await page.getByLabel('Token mit dem Recht monitor').waitFor();
    const handed = await openMonitor(pages, server);
    expect(handed.url()).toBe(`${server.url}/monitor`);
  });

  test('shows changes as they come, narrows and pauses them, and shows all that is known of one by keyboard', async () => {
    const page = await openMonitor(pages, server);
    await openReader('ada', 'resources=zimmer?haus=7');
    await server.psql(`begin; select set_config('change_feed.actor', 'grace', true);
      insert into zimmer values (1001, 7, 'streng geheim'); commit`);
    await server.psql(
      `delete from zimmer where id = 1001; select change_feed.emit('auswertung', '{"auch": "geheim"}')`,
    );
    await until(async () => (await rows(page).count()) === 3, '3 rows');
    expect(await rows(page).first().textContent()).toContain('auswertung');

    await page.getByLabel('Bereich').fill('haus=7');
    await until(async () => (await rows(page).count()) === 2, 'those of the scope');
    await page.getByLabel('Vorgang').selectOption('insert');
    await until(async () => (await rows(page).count()) === 1, 'the insert');
    await page.getByLabel('Wer').fill('GRACE');
    expect(await rows(page).count()).toBe(1);

    await page.getByRole('listbox').focus();
    await page.keyboard.press('ArrowDown');
    const details = page.getByRole('region', { name: 'Einzelheiten der Änderung' });
    expect(await details.textContent()).toMatch(
      /Schlüssel\[1001\]Bereiche\{"haus": ?\{ ?"7": ?\[1001\]\}\}Persongrace/,
    );
    expect(await page.content()).not.toContain('geheim');

    await page.keyboard.press('p');
    await page.getByRole('button', { name: 'Weiter' }).waitFor();
    await server.psql(`begin; select set_config('change_feed.actor', 'grace', true);
      insert into zimmer values (1002, 7); commit`);
    await page.getByRole('button', { name: 'Weiter (1 neue)' }).waitFor();
    expect(await rows(page).count()).toBe(1);
    await page.keyboard.press('p');
    await until(async () => (await rows(page).count()) === 2, 'what came meanwhile');
    await server.psql('delete from zimmer where id = 1002');
  });

  test('draws 60 changes a second with time to spare, and a few rows of thousands', async () => {
    const page = await openMonitor(pages, server);
    const session = await page.context().newCDPSession(page);
    // The CPU time of the page's thread: the machine's other work does not count.
    await session.send('Performance.enable', { timeDomain: 'threadTicks' });
    const busyS = async () => {
      const { metrics } = await session.send('Performance.getMetrics');
      return metrics.find(({ name }) => name === 'TaskDuration')?.value ?? Number.NaN;
    };
    write(60);
    await rows(page).nth(10).waitFor();
    const [busyBefore, begun] = [await busyS(), performance.now()];
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 4000)));
    const share = ((await busyS()) - busyBefore) / ((performance.now() - begun) / 1000);
    clearInterval(writing);
    // Measured: 12 % on two cores of an AMD EPYC that did other work.
    expect(share).toBeLessThan(0.5);
    expect(await rows(page).count()).toBeLessThan(60);
    expect(await page.locator('.skipped').count()).toBe(0);
  });

  test('stays where the reader has scrolled to while newer changes come', async () => {
    const page = await openMonitor(pages, server);
    const height = async () => (await page.locator('.list .space').boundingBox())?.height;
    // Not all at once, which would be shown as a number
    for (let round = 1; round <= 5; round += 1) {
      for (let id = 1; id <= 20; id += 1) await server.psql(`update zimmer set haus = ${round} where id = ${id}`);
      await until(async () => (await height()) === 28 * 20 * round, `${20 * round} rows`);
    }
    await page.locator('.list').evaluate((list) => list.scrollTo(0, 700));
    const top = () => page.locator('.list').evaluate((list) => list.scrollTop);
    await until(async () => (await top()) === 700);
    await server.psql('update zimmer set haus = 0 where id = 6');
    await until(async () => (await top()) === 728, 'the place to stay');
  });

  test('shows the last hour again after it is loaded anew', async () => {
    await server.psql('update zimmer set haus = 1 where id = 7');
    const page = await openMonitor(pages, server);
    const legend = page.locator('.plot').first().locator('.legend');
    await legend.locator('text=zimmer').waitFor();
    const delays = page.locator('.plot').nth(1).locator('.legend');
    await delays.locator(`text=99 % an ${other.feed.instanceId}`).waitFor();
    await page.reload();
    await legend.locator('text=zimmer').waitFor();
    // The canvas has something on it.
    const drawn = () =>
      page
        .locator('.plot canvas')
        .first()
        .evaluate((canvas: HTMLCanvasElement) => {
          const { data = [] } = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height) ?? {};
          return (data as Uint8ClampedArray).some((value) => value > 0);
        });
    await until(drawn, 'a plot');
  });

  test('finds a stream, and ends it when that is confirmed, and all of a subject', async () => {
    const page = await openMonitor(pages, server);
    const [first, second] = [
      await openReader('ada', 'resources=zimmer?haus=3'),
      await openReader('ada', 'resources=keller'),
    ];
    await page.getByPlaceholder('Subjekt, Ressource, Bereich').fill('haus=3');
    await page.locator('text=1 gefunden').waitFor();
    await page.getByRole('button', { name: 'Stream von ada beenden', exact: true }).click();
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    expect(first.ended()).toBe(false);
    await page.getByRole('button', { name: 'Stream von ada beenden', exact: true }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Beenden' }).click();
    await until(() => first.ended(), 'its end');
    expect(second.ended()).toBe(false);
    await page.getByPlaceholder('Subjekt, Ressource, Bereich').fill('keller');
    await page.getByRole('button', { name: 'Alle Streams von ada beenden' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Beenden' }).click();
    await until(() => second.ended(), 'its end');
    await page.locator('text=Beendet.').waitFor();
  });

  test('copies the statement that cures a table', async () => {
    await server.psql('alter table zimmer disable trigger change_feed_update');
    try {
      const page = await openMonitor(pages, server, { permissions: ['clipboard-read', 'clipboard-write'] });
      const finding = page.locator('.findings li', { hasText: 'triggers of zimmer' });
      await page.locator('.findings li').first().waitFor();
      await page.getByRole('button', { name: 'Neu prüfen' }).click();
      await finding.locator('.badge.fail').waitFor();
      await finding.getByRole('button', { name: 'Kopieren' }).click();
      await finding.getByRole('button', { name: 'Kopiert' }).waitFor();
      expect(await page.evaluate(() => navigator.clipboard.readText())).toMatch(/^select change_feed.watch\('zimmer'/);
    } finally {
      await server.psql(`select change_feed.watch('zimmer', scopes => '{haus}')`);
    }
  });

  test('follows a test event through both servers', async () => {
    const page = await openMonitor(pages, server);
    await openReader('ada', 'resources=monitor_test');
    await page.locator('.test').getByRole('button', { name: 'Senden' }).click();
    const stages = page.locator('.test tbody tr');
    await stages.nth(1).waitFor();
    const text = (await stages.allTextContents()).join('\n');
    expect(text).toMatch(new RegExp(`${other.feed.instanceId}.*ms.*ms.*1 Stream`));
    expect(text).toContain(server.feed.instanceId);
    await rows(page).filter({ hasText: 'monitor_test' }).waitFor();
  });

  test.each([
    ['light', 360, 740],
    ['dark', 360, 740],
    ['light', 1440, 900],
    ['dark', 1440, 900],
    ['light', 2560, 1440],
    ['dark', 2560, 1440],
  ] as const)('in %s at %d × %d: nothing is cut off, and axe finds no fault', async (colorScheme, width, height) => {
    const faults: string[] = [];
    const page = await openMonitor(pages, server, {
      colorScheme,
      viewport: { width, height },
      prepare: async (made) => {
        // What the policy of the page keeps from loading is said there.
        made.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
        made.on('pageerror', (error) => faults.push(error.message));
      },
    });
    await openReader('ada', 'resources=zimmer');
    await server.psql('update zimmer set haus = 3 where id = 8');
    await rows(page).first().click();
    await page.locator('.findings li').first().waitFor();
    await page.locator('.streams tbody tr').first().waitFor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
    expect(await axeFaults(page)).toEqual([]);
    expect(faults).toEqual([]);
  });
});

/** The rules of axe that the page breaks, each with the elements. */
async function axeFaults(page: Page): Promise<string[]> {
  const source = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  await page.evaluate(source);
  const results = await page.evaluate(() => (window as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run());
  return results.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
}
