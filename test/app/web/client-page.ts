import type { Page } from 'playwright-core';
import type { SSEService } from '../../../src/client/index.js';

/** What a page has done for a test. */
export interface ClientPage {
  service: SSEService;
  /** What its listener of `a` was told: data, or `resync`. */
  told: (number | string)[];
  /** Statuses so far. */
  statuses: string[];
}

/** What the page's listener was told. */
export function toldTo(page: Page): Promise<(number | string)[]> {
  return page.evaluate(() => (window as unknown as ClientPage).told);
}

/** The status of the page's service. */
export function statusOf(page: Page): Promise<string> {
  return page.evaluate(() => (window as unknown as ClientPage).service.status);
}
