// Takes the pictures of docs/, from a server that runs with the demo: npm start, then `npm run screenshots`. With a token of
// MONITOR_TOKEN it takes those of the monitor instead, from a server with MONITOR=on.
import { mkdir } from 'node:fs/promises';
import { chromium } from 'playwright-core';

const [url = 'http://localhost:3000', folder = 'docs'] = process.argv.slice(2);
const VIEWS = [
  { name: 'veranstaltungen', path: '#/' },
  { name: 'anmeldungen', path: '#/veranstaltungen/2' },
];

await mkdir(folder, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu'],
});
const token = process.env.MONITOR_TOKEN;
if (token) {
  await takeMonitor('monitor-light', { colorScheme: 'light', viewport: { width: 1440, height: 1240 } });
  await takeMonitor('monitor-dark-phone', { colorScheme: 'dark', viewport: { width: 390, height: 844 } });
}
for (const colorScheme of token ? [] : ['light', 'dark']) {
  for (const [size, viewport] of Object.entries({
    '': { width: 1440, height: 900 },
    '-phone': { width: 360, height: 740 },
  })) {
    const context = await browser.newContext({ colorScheme, viewport, locale: 'de-DE', timezoneId: 'Europe/Berlin' });
    const page = await context.newPage();
    await page.goto(url);
    await page.getByRole('button', { name: 'Zur Demo' }).click();
    for (const { name, path } of VIEWS) {
      await page.goto(`${url}/${path}`);
      await page.locator('tbody tr[data-id]').first().waitFor();
      await page.locator('.connection[data-status=connected]').waitFor();
      await page.screenshot({ path: `${folder}/${name}-${colorScheme}${size}.png` });
    }
    await context.close();
  }
}
await browser.close();

async function takeMonitor(name, options) {
  const context = await browser.newContext({ ...options, locale: 'de-DE', timezoneId: 'Europe/Berlin' });
  const page = await context.newPage();
  await page.goto(`${url}/monitor#token=${token}`);
  await page.locator('.test').getByRole('button', { name: 'Senden' }).click();
  await page.locator('.test tbody tr').first().waitFor();
  await page.locator('.list .row').first().waitFor();
  await page.locator('.plot .legend b').first().waitFor();
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: `${folder}/${name}.png` });
  await context.close();
}
