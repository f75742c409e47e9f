import { beforeAll, beforeEach, expect, test } from '@jest/globals';
import { csvOf } from '../../../src/app/rest/csv.js';
import { useTestServer } from '../../running-server.js';

const server = useTestServer();
let headers: Record<string, string>;
let event: number;

beforeAll(async () => {
  headers = { Authorization: `Bearer ${await server.token({ sub: 'ada' })}`, 'Content-Type': 'application/json' };
});

beforeEach(async () => {
  await server.psql('truncate veranstaltung restart identity cascade');
  const { rows } = await server.psql(`insert into veranstaltung
    (name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr)
    values ('Lauf', '2030-07-01', '2030-07-01', '2030-01-01', '2030-06-01', 2, 0) returning id`);
  event = rows[0].id;
});

async function add(nachname: string, fields: Record<string, unknown> = {}): Promise<number> {
  const values = { vorname: 'Ada', email: `${nachname.toLowerCase()}@example.org`, status: 'OFFEN', ...fields };
  const names = Object.keys(values);
  const { rows } = await server.psql(
    `insert into anmeldung (veranstaltung_id, nachname, ${names.join(', ')})
      values ($1, $2, ${names.map((_, index) => `$${index + 3}`).join(', ')}) returning id`,
    [event, nachname, ...Object.values(values)],
  );
  return rows[0].id;
}
async function call(method: string, path: string, body?: unknown) {
  const response = await fetch(`${server.url}/api/${path}`, {
    method,
    headers,
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
  return { status: response.status, headers: response.headers, body: (await response.json().catch(() => ({}))) as any };
}
const list = async (query: string) => (await call('GET', `anmeldungen?veranstaltungId=${event}&${query}`)).body;
const names = (page: { items: { nachname: string }[] }) => page.items.map(({ nachname }) => nachname);

test('sorts as Germans look names up', async () => {
  for (const name of ['Zorn', 'Ärmel', 'Osten', 'Armel', 'Österle', 'armbrust', 'Strasser', 'Straßer']) await add(name);
  const sorted = ['armbrust', 'Armel', 'Ärmel', 'Osten', 'Österle', 'Strasser', 'Straßer', 'Zorn'];
  expect(names(await list('sort=nachname'))).toEqual(sorted);
  expect(names(await list('sort=-nachname'))).toEqual(sorted.toReversed());
});

test('filters by status, searches names, address and comment, and sorts by the way of a registration', async () => {
  await add('Schröder', { status: 'STORNIERT' });
  await add('Köhler', { status: 'BESTAETIGT', kommentar: 'Bitte vegetarisch, 100 %' });
  await add('Brandt');
  await add('Ach', { status: 'ABGELEHNT' });
  expect(names(await list('sort=status'))).toEqual(['Brandt', 'Köhler', 'Schröder', 'Ach']);
  expect(names(await list('status=STORNIERT'))).toEqual(['Schröder']);
  for (const [search, found] of Object.entries({
    'ada KÖHLER': ['Köhler'],
    'köhler, a': ['Köhler'],
    'brandt@': ['Brandt'],
    '100 %': ['Köhler'],
    '%': ['Köhler'],
    _: [],
  })) {
    expect(names(await list(`suche=${encodeURIComponent(search)}`))).toEqual(found);
  }
  expect((await list('limit=1&status=OFFEN')).zahlen).toEqual({ OFFEN: 1, BESTAETIGT: 1, STORNIERT: 1, ABGELEHNT: 1 });
});

test('says who waits in which place, and who is there twice', async () => {
  const at = (day: number) => ({ erstellt_am: `2030-02-0${day}` });
  await add('Dritte', at(3));
  await add('Erste', at(1));
  await add('Bestätigt', { ...at(1), status: 'BESTAETIGT' });
  await add('Zweite', { ...at(2), email: 'ERSTE@example.org' });
  await add('dritte', { ...at(4), email: 'andere@example.org', status: 'STORNIERT' });
  const { items } = await list('sort=erstelltAm');
  expect(
    items.map(({ nachname, warteplatz, doppelt }: Record<string, unknown>) => [nachname, warteplatz, doppelt]),
  ).toEqual([
    ['Erste', 1, true],
    ['Bestätigt', null, false],
    ['Zweite', 2, true],
    ['Dritte', 3, false],
    ['dritte', null, false],
  ]);
});

test('names those that a new one would repeat', async () => {
  const id = await add('Schröder');
  await add('Schröder', { vorname: 'Ole', status: 'STORNIERT' });
  const doubles = async (query: string) =>
    (await call('GET', `anmeldungen/doppelte?veranstaltungId=${event}&${query}`)).body.items.map(
      ({ id }: { id: number }) => id,
    );
  expect(await doubles('vorname=ada&nachname=SCHRÖDER')).toEqual([id]);
  expect(await doubles('email=SCHR%C3%96DER@example.org')).toEqual([id]);
  expect(await doubles(`vorname=Ada&nachname=Schröder&ohne=${id}`)).toEqual([]);
  expect(await doubles('vorname=Ole&nachname=Schröder')).toEqual([]);
  expect((await call('GET', 'anmeldungen/doppelte?veranstaltungId=x')).status).toBe(400);
});

test('finds the page that holds a row', async () => {
  const ids: number[] = [];
  for (const letter of 'FEDCBA') ids.push(await add(letter));
  const page = await list(`sort=nachname&limit=2&around=${ids[0]}`);
  expect([page.offset, names(page)]).toEqual([4, ['E', 'F']]);
  expect((await list(`sort=nachname&limit=2&around=${ids[3]}`)).offset).toBe(2);
  expect(await list(`limit=2&around=${ids[0]}&status=STORNIERT`)).toMatchObject({ items: [], total: 0, offset: 0 });
  expect((await call('GET', 'anmeldungen?around=x')).status).toBe(400);
});

test("a list's ETag is that of the row", async () => {
  await add('Schröder');
  const [{ id, etag }] = (await list('')).items;
  expect((await call('GET', `anmeldungen/${id}`)).headers.get('ETag')).toBe(etag);
  const [veranstaltung] = (await call('GET', 'veranstaltungen')).body.items;
  expect((await call('GET', `veranstaltungen/${event}`)).headers.get('ETag')).toBe(veranstaltung.etag);
});

test('a status for several at once: not for those that have changed since, nor for those that are gone', async () => {
  const [one, other, gone] = [await add('A'), await add('B'), await add('C')];
  const rows = (await list('')).items.map(({ id, etag }: { id: number; etag: string }) => ({ id, etag }));
  await server.psql(`update anmeldung set kommentar = 'neu' where id = $1`, [other]);
  await server.psql('delete from anmeldung where id = $1', [gone]);
  const stream = await server.stream('resources=anmeldung');
  await stream.clientId();
  const answer = await call('POST', 'anmeldungen/status', { status: 'BESTAETIGT', rows });
  expect([answer.status, answer.body]).toEqual([200, { changed: [one], conflicts: [other], gone: [gone] }]);
  expect((await list('sort=id')).items.map(({ status }: { status: string }) => status)).toEqual([
    'BESTAETIGT',
    'OFFEN',
  ]);
  for (const wrong of [{ status: 'X', rows }, { status: 'OFFEN', rows: [] }, { status: 'OFFEN' }, { rows }]) {
    expect((await call('POST', 'anmeldungen/status', wrong)).status).toBe(400);
  }
  const many = Array.from({ length: 501 }, (_, index) => ({ id: index + 1, etag: 'x' }));
  expect((await call('POST', 'anmeldungen/status', { status: 'OFFEN', rows: many })).status).toBe(400);
});

test('counts what was changed since a list was read', async () => {
  await add('A');
  await add('B');
  const seit = (await call('GET', `anmeldungen?veranstaltungId=${event}`)).headers.get('Change-Feed-Position') ?? '';
  const count = async (since = seit) =>
    (await call('GET', `anmeldungen/geaendert?veranstaltungId=${event}&seit=${encodeURIComponent(since)}`)).body;
  expect(await count()).toEqual({ count: 0 });
  await server.psql(`update anmeldung set kommentar = 'neu' where nachname = 'A'`);
  await add('C');
  expect(await count()).toEqual({ count: 2 });
  for (const wrong of ['x', '1:2', 'abc.1:2:x', '']) {
    expect((await count(wrong)).error).toMatchObject({ code: 'bad_request', message: expect.stringContaining('seit') });
  }
});

test('a change may name what it knows of its own fields, where others write the row all the time', async () => {
  const id = await add('Schröder');
  const change = async (values: object) => (await call('PATCH', `anmeldungen/${id}`, values)).status;
  await server.psql(`update anmeldung set kommentar = 'neu'`);
  expect(await change({ status: 'BESTAETIGT', vorher: { status: 'OFFEN', kommentar: 'alt' } })).toBe(200);
  expect(await change({ status: 'STORNIERT', vorher: { status: 'OFFEN' } })).toBe(412);
  expect(await change({ status: 'STORNIERT', vorher: {} })).toBe(412);
  expect(await change({ status: 'STORNIERT', vorher: 'OFFEN' })).toBe(400);
  expect(await change({ vorher: { status: 'BESTAETIGT' } })).toBe(400);
  expect((await list('')).items[0]).toMatchObject({ status: 'BESTAETIGT', kommentar: 'neu' });
});

test('an event with more registrations than the client knows of is not deleted', async () => {
  await add('A');
  await add('B');
  for (const [seen, status] of [
    ['1', 412],
    ['x', 400],
    ['-1', 400],
    ['2', 204],
  ] as const) {
    expect((await call('DELETE', `veranstaltungen/${event}?anmeldungen=${seen}`)).status).toBe(status);
  }
});

test('CSV opens right in a German Excel, and is never a formula', async () => {
  const moment = { erstellt_am: '2026-12-24T13:30:00Z' };
  await add('=1+1', { ...moment, vorname: '@SUM(A1)', email: '-a@example.org', kommentar: '\t=cmd|calc' });
  await add('Ärger;', { ...moment, kommentar: 'Zeile 1\nsagt "hallo"', status: 'BESTAETIGT' });
  const response = await fetch(`${server.url}/api/anmeldungen/csv?veranstaltungId=${event}&sort=id`, { headers });
  expect(response.headers.get('Content-Type')).toBe('text/csv; charset=utf-8');
  const bytes = new Uint8Array(await response.arrayBuffer());
  expect([...bytes.slice(0, 3)]).toEqual([0xef, 0xbb, 0xbf]);
  expect(new TextDecoder().decode(bytes)).toBe(
    [
      'Nr.;Nachname;Vorname;E-Mail;Status;Angemeldet am;Kommentar;Veranstaltung',
      `1;'=1+1;'@SUM(A1);'-a@example.org;offen;24.12.2026 14:30;'\t=cmd|calc;Lauf`,
      '2;"Ärger;";Ada;ärger;@example.org;bestätigt;24.12.2026 14:30;"Zeile 1\nsagt ""hallo""";Lauf'.replace(
        'ärger;@example.org',
        '"ärger;@example.org"',
      ),
      '',
    ].join('\r\n'),
  );
  expect((await call('GET', 'anmeldungen/csv?zeitzone=Mond')).status).toBe(400);
  expect((await call('GET', 'anmeldungen/csv?sort=nichts')).status).toBe(400);
});

test('CSV of many rows leaves others their turn', async () => {
  const rows = Array.from({ length: 20_000 }, (_, i) => i);
  let turns = 0;
  let file = '';
  let pieces = 0;
  let ended = false;
  const count = () => {
    turns += 1;
    if (!ended) setImmediate(count);
  };
  setImmediate(count);
  for await (const piece of csvOf(['Nr.', 'Text'], rows, (row) => [String(row), `Zeile;${row}`])) {
    pieces += 1;
    file += piece;
  }
  ended = true;
  expect(file.split('\r\n')).toHaveLength(20_002);
  expect(file).toMatch(/^\uFEFFNr\.;Text\r\n0;"Zeile;0"\r\n1;"Zeile;1"\r\n/);
  expect(pieces).toBeGreaterThan(50);
  expect(turns).toBeGreaterThan(50);
});
