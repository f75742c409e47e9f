import { beforeAll, expect, test } from '@jest/globals';
import { useTestServer } from '../../running-server.js';

// A token for the registrations of one event, over REST and in the feed.

const server = useTestServer();
let own: number;
let other: number;
let headers: Record<string, string>;

beforeAll(async () => {
  const { rows } = await server.psql(`insert into veranstaltung
    (name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr)
    select name, '2030-07-01', '2030-07-01', now(), now(), 10, 0 from unnest(array['Fest', 'Lauf']) name returning id`);
  [own, other] = rows.map(({ id }) => id);
  const token = await server.token({ resources: ['veranstaltung', `anmeldung?veranstaltung_id=${own}`] });
  headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
});

interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
  readonly body: any;
  readonly etag: string;
}

async function ask(method: string, path: string, body?: object, more = {}): Promise<Answer> {
  const answer = await fetch(`${server.url}/api/anmeldungen${path}`, {
    method,
    headers: { ...headers, ...more },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  const isJson = answer.headers.get('Content-Type')?.startsWith('application/json');
  return { status: answer.status, body: isJson ? JSON.parse(text) : text, etag: answer.headers.get('ETag') ?? '' };
}

async function register(veranstaltungId: number, vorname: string): Promise<number> {
  const { rows } = await server.psql(
    `insert into anmeldung (veranstaltung_id, vorname, nachname, email) values ($1, $2, 'Lovelace', 'a@example.org') returning id`,
    [veranstaltungId, vorname],
  );
  return rows[0].id;
}

test('lists its event, and neither all nor another', async () => {
  const id = await register(own, 'Ada');
  await register(other, 'Eve');
  const { body } = await ask('GET', `?veranstaltungId=${own}`);
  expect(body.items.map((row: { id: number }) => row.id)).toEqual([id]);
  for (const query of [
    '',
    '?suche=Eve',
    `?veranstaltungId=${other}`,
    `?veranstaltungId=${own}&veranstaltungId=${other}`,
  ]) {
    expect([400, 403]).toContain((await ask('GET', query)).status);
  }
  expect((await ask('GET', '')).status).toBe(403);
  expect((await ask('GET', `?veranstaltungId=${other}`)).status).toBe(403);
});

test('reads, writes and deletes rows of its event; rows of others are 404, as those that do not exist', async () => {
  const id = await register(own, 'Ada');
  const foreign = await register(other, 'Eve');
  const found = await ask('GET', `/${id}`);
  expect(found.status).toBe(200);
  for (const [method, body] of [['GET'], ['PATCH', { vorname: 'Mallory' }], ['DELETE']] as const) {
    const missing = await ask(method, '/999999', body, { 'If-Match': found.etag });
    const refused = await ask(method, `/${foreign}`, body, { 'If-Match': found.etag });
    expect(refused.status).toBe(404);
    expect(JSON.stringify(refused.body).replace(String(foreign), '999999')).toBe(JSON.stringify(missing.body));
  }
  const changed = await ask('PATCH', `/${id}`, { vorname: 'Augusta' }, { 'If-Match': found.etag });
  expect(changed).toMatchObject({ status: 200, body: { vorname: 'Augusta' } });
  expect((await ask('DELETE', `/${id}`, undefined, { 'If-Match': changed.etag })).status).toBe(204);
  const { rows } = await server.psql('select vorname from anmeldung where id = $1', [foreign]);
  expect(rows).toEqual([{ vorname: 'Eve' }]);
});

test('adds rows to its event, and moves none to another', async () => {
  const values = { vorname: 'Grace', nachname: 'Hopper', email: 'g@example.org' };
  const made = await ask('POST', '', { ...values, veranstaltungId: own });
  expect(made.status).toBe(201);
  expect((await ask('POST', '', { ...values, veranstaltungId: other })).status).toBe(403);
  // Before the database says whether there is such an event
  expect((await ask('POST', '', { ...values, veranstaltungId: 999_999 })).status).toBe(403);
  const moved = await ask('PATCH', `/${made.body.id}`, { veranstaltungId: other }, { 'If-Match': made.etag });
  expect(moved.status).toBe(403);
});

test('the file, duplicates and the number of changes are those of its event', async () => {
  const since = (await server.feed.currentPosition()).toString();
  for (const path of ['/csv?', '/doppelte?nachname=Lovelace&', `/geaendert?seit=${since}&`]) {
    expect((await ask('GET', `${path}veranstaltungId=${own}`)).status).toBe(200);
    expect((await ask('GET', `${path}veranstaltungId=${other}`)).status).toBe(403);
  }
  expect((await ask('GET', '/csv')).status).toBe(403);
});

test('one status for many takes rows of another event for gone', async () => {
  const id = await register(own, 'Ada');
  const foreign = await register(other, 'Eve');
  const { etag } = await ask('GET', `/${id}`);
  const all = await fetch(`${server.url}/api/anmeldungen/${foreign}`, {
    headers: { Authorization: `Bearer ${await server.token()}` },
  });
  const rows = [
    { id, etag },
    { id: foreign, etag: all.headers.get('ETag') ?? '' },
  ];
  expect((await ask('POST', '/status', { status: 'BESTAETIGT', rows })).body).toEqual({
    changed: [id],
    conflicts: [],
    gone: [foreign],
  });
  const { rows: left } = await server.psql('select status from anmeldung where id = $1', [foreign]);
  expect(left).toEqual([{ status: 'OFFEN' }]);
});

test('the feed follows the same rule', async () => {
  const status = async (topic: string) => {
    const answer = await fetch(`${server.url}/api/events?resources=${encodeURIComponent(topic)}`, { headers });
    await answer.body?.cancel();
    return answer.status;
  };
  expect(await status(`anmeldung?veranstaltung_id=${own}`)).toBe(200);
  expect(await status(`anmeldung?veranstaltung_id=${other}`)).toBe(403);
  expect(await status('anmeldung')).toBe(403);
});

test('a token without any right to registrations gets none', async () => {
  const token = await server.token({ resources: ['veranstaltung'] });
  const id = await register(own, 'Ada');
  const none = { Authorization: `Bearer ${token}` };
  for (const path of ['', `?veranstaltungId=${own}`, `/csv?veranstaltungId=${own}`]) {
    expect((await ask('GET', path, undefined, none)).status).toBe(403);
  }
  expect((await ask('GET', `/${id}`, undefined, none)).status).toBe(404);
});
