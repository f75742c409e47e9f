import { afterAll, beforeAll, beforeEach } from '@jest/globals';
import type { Page } from 'playwright-core';
import { startTestServer, type TestServer } from '../../running-server.js';
import { connected, type Pages } from './browser.js';

/** A server, and an event for one test alone. */
export interface Office {
  server: TestServer;
  /** The id of the event, which nobody has registered for when a test begins. */
  event: number;
}

/** Starts a server before the tests of a file, stops it after them, and gives each test an event. */
export function useOffice(): Office {
  const office = {} as Office;
  beforeAll(async () => {
    office.server = await startTestServer({ readIntervalMs: 1000 });
  });
  afterAll(() => office.server.stop());
  beforeEach(async () => {
    office.event = await onlyEvent(office.server);
  });
  return office;
}

/** Leaves one event, with two places, and nobody who has registered. @returns its id. */
async function onlyEvent(server: TestServer): Promise<number> {
  await server.psql('truncate veranstaltung cascade');
  const { rows } = await server.psql(`insert into veranstaltung
    (name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr)
    values ('Lauf', '2030-07-01', '2030-07-02', '2020-01-01', '2020-06-01 00:00+02', 2, 1250) returning id`);
  return rows[0].id;
}

/** Adds registrations for an event, called `Nr. 001` and so on. @returns their ids. */
export async function register(
  { server, event }: Office,
  count: number,
  { from = 1, status = 'OFFEN' } = {},
): Promise<number[]> {
  const { rows } = await server.psql(
    `insert into anmeldung (veranstaltung_id, vorname, nachname, email, status, erstellt_am)
      select $1, 'Ada', 'Nr. ' || to_char(n, 'FM000'), 'ada' || n || '@example.org', $4, '2020-02-01'::timestamptz + n * interval '1 h'
      from generate_series($2::int, $2 + $3 - 1) as n returning id`,
    [event, from, count, status],
  );
  return rows.map(({ id }) => id);
}

/** Opens the page of an event. @param query of its address. */
export async function openEvent(pages: Pages, { server, event }: Office, query = ''): Promise<Page> {
  const page = await pages.open(`${server.url}/#token=${await server.token({ sub: 'ada' })}`, {
    timezoneId: 'Europe/Berlin',
    viewport: { width: 1440, height: 600 },
  });
  await connected(page);
  await page.goto(`${server.url}/#/veranstaltungen/${event}${query}`);
  await page.getByText('belegt').waitFor();
  return page;
}

/** The names of the rows that are shown. */
export function namesOn(page: Page): Promise<string[]> {
  return page.locator('tbody tr[data-id] td.name').allTextContents();
}
