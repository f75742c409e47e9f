import { expect, test } from '@jest/globals';
import type { Route } from 'playwright-core';
import { until } from '../../until.js';
import { describeInBrowser, row } from './browser.js';
import { openEvent, register, useOffice } from './office-page.js';

// A refusal may arrive after another tab has signed in: it concerns the token before, and nobody has to sign in again.

const office = useOffice();

describeInBrowser('a request that is refused late', (pages) => {
  test('is sent once more with the token of another tab, and no dialog opens', async () => {
    const [id] = await register(office, 1);
    const page = await openEvent(pages, office);
    await row(page, id as number).waitFor();
    const tokens: (string | undefined)[] = [];
    let held: Route | undefined;
    await page.route('**/api/anmeldungen?*', async (route) => {
      tokens.push(route.request().headers().authorization);
      if (held) await route.continue();
      else held = route;
    });
    await office.server.psql(`update anmeldung set nachname = 'Neuhaus' where id = $1`, [id]);
    await until(() => held !== undefined, 'the list to be asked for');

    await page.evaluate(() => {
      window.addEventListener('storage', ({ key }) => document.body.classList.toggle('has-other-token', key === 'jwt'));
    });
    const other = await pages.open(office.server.url, { beside: page });
    const token = await office.server.token({ sub: 'ada', expiresInS: 7200 });
    await other.evaluate((jwt) => localStorage.setItem('jwt', jwt), token);
    await page.locator('body.has-other-token').waitFor();
    await held?.fulfill({ status: 401, json: { error: { code: 'unauthorized', message: 'The token has ended' } } });

    await row(page, id as number)
      .getByText('Neuhaus')
      .waitFor();
    expect(tokens[0]).not.toBe(`Bearer ${token}`);
    expect(tokens[1]).toBe(`Bearer ${token}`);
    expect(await page.locator('dialog', { hasText: 'Sitzung abgelaufen' }).count()).toBe(0);
  });
});
