import { expect, test } from '@jest/globals';
import { connected, describeInBrowser, row } from './browser.js';
import { openEvent, register, useOffice } from './office-page.js';

const office = useOffice();

describeInBrowser('the page of one event', (pages) => {
  test('follows its registrations, and reads nothing anew for those of another event', async () => {
    const [first] = await register(office, 1);
    const { rows } = await office.server.psql(`insert into veranstaltung
      (name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr)
      select name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr from veranstaltung returning id`);
    const page = await openEvent(pages, office);
    await row(page, first as number).waitFor();
    const lists: string[] = [];
    page.on('request', (request) => request.url().includes('/api/anmeldungen?') && lists.push(request.url()));
    await register({ ...office, event: rows[0].id }, 3, { from: 100 });
    await register(office, 1, { from: 2 });
    await page.getByText('2 Anmeldungen').waitFor();
    expect(lists).toHaveLength(1);
  });

  test('is whole for a token that allows its registrations alone', async () => {
    const [first] = await register(office, 1);
    const resources = ['veranstaltung', `anmeldung?veranstaltung_id=${office.event}`];
    const page = await pages.open(
      `${office.server.url}/#token=${await office.server.token({ sub: 'ada', resources })}`,
    );
    await connected(page);
    await page.goto(`${office.server.url}/#/veranstaltungen/${office.event}`);
    await row(page, first as number)
      .getByRole('button', { name: 'bearbeiten' })
      .click();
    await page.locator('dialog').getByLabel('Vorname').fill('Grace');
    await page.locator('dialog').getByRole('button', { name: 'Speichern', exact: true }).click();
    await row(page, first as number)
      .getByText('Nr. 001, Grace')
      .waitFor();
    await office.server.psql(`update anmeldung set vorname = 'Edsger'`);
    await row(page, first as number)
      .getByText('Nr. 001, Edsger')
      .waitFor();
  });
});
