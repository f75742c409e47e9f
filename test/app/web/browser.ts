import { existsSync } from 'node:fs';
import { afterAll, afterEach, describe } from '@jest/globals';
import { type Browser, type BrowserContextOptions, chromium, type LaunchOptions, type Page } from 'playwright-core';
import { PATIENCE_MS } from '../../until.js';

const CANDIDATES = [
  process.env.CHROMIUM_PATH,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];
const executablePath = CANDIDATES.find((path) => path && existsSync(path));
/** Chromium's engine without the browser around it, whose own pages take 40 % of the time. It has no back-forward cache. */
const SHELL = '/usr/bin/chromium-headless-shell';
const pageExecutablePath = !process.env.CHROMIUM_PATH && existsSync(SHELL) ? SHELL : executablePath;

/** Opens pages in a real Chromium. */
export interface Pages {
  /** A tab of its own browser profile, or beside `beside`. `prepare` runs before it goes anywhere. */
  open(
    url: string,
    options?: BrowserContextOptions & { beside?: Page; prepare?: (page: Page) => Promise<unknown> },
  ): Promise<Page>;
}

/**
 * Tests that need a Chromium; where there is none they are skipped with a line that says how to get it, and fail with
 * REQUIRE_BROWSER=1.
 */
export function describeWithChromium(name: string, tests: (executablePath: string) => void): void {
  if (executablePath) {
    describe(name, () => tests(executablePath));
    return;
  }
  const message = `${name}: skipped, no Chromium was found. apt-get install chromium, or set CHROMIUM_PATH.`;
  if (process.env.REQUIRE_BROWSER) throw new Error(message);
  console.warn(message);
  describe.skip(name, () => tests(''));
}

/**
 * Tests in a real Chromium by Playwright: see {@link describeWithChromium}.
 * @param options what the browser is started with beside the usual; `whole`: it has a window, and keeps pages for "back".
 */
export function describeInBrowser(
  name: string,
  tests: (pages: Pages) => void,
  { whole = false, ...launch }: LaunchOptions & { whole?: boolean } = {},
): void {
  describeWithChromium(name, () => {
    let browser: Promise<Browser> | undefined;
    const executable = whole ? executablePath : pageExecutablePath;
    afterEach(async () => {
      for (const context of (await browser)?.contexts() ?? []) await context.close();
    });
    afterAll(async () => (await browser)?.close());
    tests({
      open: async (url, { beside, prepare, ...options } = {}) => {
        browser ??= chromium.launch({
          ...launch,
          ...(executable && { executablePath: executable }),
          args: [
            ...(launch.args ?? []),
            '--no-sandbox',
            '--disable-gpu',
            '--disable-quic',
            '--disable-background-networking',
            '--disable-sync',
          ],
        });
        const context = beside?.context() ?? (await (await browser).newContext({ locale: 'de-DE', ...options }));
        const page = await context.newPage();
        // Sooner than jest gives up, and with a word on what was waited for
        page.setDefaultTimeout(PATIENCE_MS);
        await prepare?.(page);
        await page.goto(url);
        return page;
      },
    });
  });
}

/** Waits until the page says that it is connected. */
export async function connected(page: Page): Promise<void> {
  await page.locator('.connection[data-status=connected]').waitFor();
}

/** Hides a tab, or shows it: headless, Chromium holds every tab for visible. */
export async function setVisible(page: Page, visible: boolean): Promise<void> {
  await page.evaluate(
    (state) => {
      Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => state });
      document.dispatchEvent(new Event('visibilitychange'));
    },
    visible ? 'visible' : 'hidden',
  );
}

/** A row of the page's table. */
export function row(page: Page, id: number) {
  return page.locator(`tr[data-id="${id}"]`);
}

/** Gives the page another size, and waits until it is drawn so: what it shows depends on its width. */
export async function resize(page: Page, width: number, height: number): Promise<void> {
  await page.setViewportSize({ width, height });
  await page.evaluate(
    () => new Promise<void>((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve()))),
  );
}
