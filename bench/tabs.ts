import { setTimeout as delay } from 'node:timers/promises';
import { chromium, type Page } from 'playwright-core';
import { servePage } from '../test/app/web/page-server.js';
import type { Bench } from './bench.js';
import { printTable, round } from './report.js';
import { percentile } from './statistics.js';
import { ourStream, startOurs } from './targets.js';

const EXECUTABLE = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';

/** Notes when the page's listener was told of each number, in ms since 1970. Text, because it runs in the page. */
const NOTE_TIMES = `
  window.at = {};
  service.on('a', ({ data }) => { at[data] = Date.now(); });`;

/** How long a commit takes to the listeners of all tabs of one browser, which share one stream. */
export const tabs: Bench = {
  name: 'tabs',
  about: 'from the COMMIT that is sent to the listener of each of ten visible tabs of one Chromium',
  run: async ({ postgres, scale }) => {
    const database = await postgres.createDatabase();
    const server = await startOurs(database.url);
    const site = await servePage(`http://127.0.0.1:${server.port}`);
    const { headers } = await ourStream(server.port, '');
    const options = { token: headers?.Authorization?.replace('Bearer ', '') };
    const browser = await chromium.launch({ executablePath: EXECUTABLE, args: ['--no-sandbox', '--disable-gpu'] });
    const context = await browser.newContext();

    const rows: string[][] = [];
    for (const count of [1, 10]) {
      while (context.pages().length < count) {
        const page = await context.newPage();
        await page.goto(`http://127.0.0.1:${site.port}/?${encodeURIComponent(JSON.stringify(options))}`);
        await live(page);
        await page.evaluate(NOTE_TIMES);
      }
      const sentAt = new Map<string, number>();
      const changes = scale(300, 20);
      for (let i = 0; i < changes; i += 1) {
        const number = `${count}${String(i).padStart(4, '0')}`;
        await database.session.query(`begin; select change_feed.emit('a', '${number}')`);
        sentAt.set(number, Date.now());
        await database.session.query('commit');
        await delay(50);
      }
      await delay(1000);
      const told = await Promise.all(context.pages().map((page) => page.evaluate<Record<string, number>>('at')));
      const all = told.flatMap((at) => [...sentAt].map(([number, sent]) => (at[number] ?? Number.NaN) - sent));
      const times = all.filter((ms) => !Number.isNaN(ms));
      rows.push([
        String(count),
        ...[50, 95, 99, 100].map((percent) => round(percentile(times, percent))),
        `${times.length} of ${all.length}`,
        `${round((100 * times.filter((ms) => ms <= 100).length) / all.length)} %`,
      ]);
    }
    printTable(['tabs', 'p50, ms', 'p95', 'p99', 'longest', 'told', 'within 100 ms'], rows);
    await browser.close();
    await site.close();
    await server.stop();
    await database.drop();
  },
};

async function live(page: Page): Promise<void> {
  while ((await page.evaluate('told.length')) === 0) await delay(20);
}
