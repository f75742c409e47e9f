import { beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { type TestServer, useTestServer } from '../../running-server.js';
import { until } from '../../until.js';

const server = useTestServer();
let headers: Record<string, string>;

beforeAll(async () => {
  headers = { Authorization: `Bearer ${await server.token()}` };
  await server.psql(`insert into veranstaltung (name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr)
    values ('Sommerfest', '2030-07-01', '2030-07-02', '2030-01-01 00:00Z', '2030-06-01 00:00Z', 100, 0)`);
  const streams = await Promise.all(Array.from({ length: 101 }, () => server.stream('resources=veranstaltung')));
  for (const stream of streams) await stream.clientId();
});

const fetchList = (query = '') => fetch(`${server.url}/api/veranstaltungen${query}`, { headers });
const placeOf = async (response: Response) => ((await response.json()) as { items: { ort: string }[] }).items[0]?.ort;

let position: jest.SpiedFunction<TestServer['feed']['currentPosition']>;
beforeEach(() => {
  position?.mockRestore();
  position = jest.spyOn(server.feed, 'currentPosition');
});

/** Changes the event, and waits until the server sends the change. */
async function moveTo(ort: string): Promise<void> {
  const before = server.manager.refetchSpread.stateOf('veranstaltung');
  await server.psql('update veranstaltung set ort = $1', [ort]);
  await until(() => server.manager.refetchSpread.stateOf('veranstaltung') !== before);
}

test('many clients that refetch a list after one change cost the database one query', async () => {
  await moveTo('Lübeck');
  const responses = await Promise.all(Array.from({ length: 200 }, () => fetchList()));
  expect(new Set(await Promise.all(responses.map(placeOf)))).toEqual(new Set(['Lübeck']));
  expect(position).toHaveBeenCalledTimes(1);
  expect(new Set(responses.map((response) => response.headers.get('Change-Feed-Position'))).size).toBe(1);
  await fetchList('?limit=7');
  expect(position).toHaveBeenCalledTimes(2);
});

test('and never get what was there before the change that they received', async () => {
  for (const ort of ['Kiel', 'Husum', 'Eutin']) {
    await moveTo(ort);
    expect(await placeOf(await fetchList())).toBe(ort);
  }
  expect(position).toHaveBeenCalledTimes(3);
});

test('nor what a row told of another table before that changed', async () => {
  await moveTo('Eckernförde');
  const belegt = async () => ((await (await fetchList()).json()) as { items: { belegt: number }[] }).items[0]?.belegt;
  expect(await belegt()).toBe(0);
  const stream = await server.stream('resources=anmeldung');
  await stream.clientId();
  await server.psql(`insert into anmeldung (veranstaltung_id, vorname, nachname, email, status)
    values (1, 'Ada', 'Schröder', 'ada@example.org', 'BESTAETIGT')`);
  await until(() => stream.updates.length > 0);
  expect(await belegt()).toBe(1);
});

test('who writes sees it at once, before the feed has read it', async () => {
  await moveTo('Plön');
  await fetchList();
  jest.spyOn(server.manager.refetchSpread, 'begin').mockReturnValue(0); // as if the feed had not read on
  const response = await fetch(`${server.url}/api/veranstaltungen/1`, {
    method: 'PATCH',
    headers: { ...headers, 'Content-Type': 'application/json' },
    body: JSON.stringify({ ort: 'Ratzeburg' }),
  });
  expect(response.status).toBe(200);
  expect(await placeOf(await fetchList())).toBe('Ratzeburg');
  jest.restoreAllMocks();
});

test('a token that does not allow the resource gets none of it', async () => {
  await moveTo('Mölln');
  await fetchList();
  const token = await server.token({ resources: ['anmeldung'] });
  const refused = await fetch(`${server.url}/api/veranstaltungen`, { headers: { Authorization: `Bearer ${token}` } });
  expect(refused.status).toBe(403);
});

test('where nobody is told, each list is read anew', async () => {
  await fetch(`${server.url}/api/anmeldungen`, { headers });
  await fetch(`${server.url}/api/anmeldungen`, { headers });
  expect(position).toHaveBeenCalledTimes(2);
});
