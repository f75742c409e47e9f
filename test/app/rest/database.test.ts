import { beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { useTestServer } from '../../running-server.js';
import { until } from '../../until.js';

const server = useTestServer();
let id: number;

beforeAll(async () => {
  const { rows } = await server.psql(`insert into veranstaltung
    (name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr)
    values ('Fest', '2030-07-01', '2030-07-02', '2030-01-01T00:00Z', '2030-06-01T00:00Z', 1, 0) returning id`);
  id = rows[0].id;
  await server.psql(`insert into anmeldung (veranstaltung_id, vorname, nachname, email) values ($1, 'A', 'B', 'a@b')`, [
    id,
  ]);
});

async function call(method: string, path: string, body?: object) {
  const response = await fetch(server.url + path, {
    method,
    headers: { Authorization: `Bearer ${await server.token()}`, 'Content-Type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
  return { status: response.status, body: (await response.json()) as any };
}

test('a connection that breaks under a write fails that write, and the server goes on', async () => {
  // Not server.psql: inside a transaction pg_stat_activity stays as it was first read.
  const holder = new pg.Client(server.database.url);
  await holder.connect();
  await holder.query('begin; lock table veranstaltung');
  const patched = call('PATCH', `/api/veranstaltungen/${id}`, { ort: 'hier' });
  await until(async () => {
    const { rowCount } = await server.psql(`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`);
    return rowCount === 1;
  });
  // Without a listener the error of the connection would end the process here.
  expect(await patched).toMatchObject({ status: 503, body: { error: { code: 'unavailable' } } });
  await holder.end();
  expect(await call('PATCH', `/api/veranstaltungen/${id}`, { ort: 'hier' })).toMatchObject({ status: 200 });
});

test("days and moments are the same where the database's own style is German", async () => {
  await server.psql(`do $$ begin
    execute format('alter database %I set datestyle = ''German, DMY''', current_database()); end $$`);
  const german = await server.another();
  const response = await fetch(`${german.url}/api/veranstaltungen/${id}`, {
    headers: { Authorization: `Bearer ${await server.token()}` },
  });
  expect(await response.json()).toMatchObject({ beginn: '2030-07-01', meldebeginn: '2030-01-01T00:00:00.000Z' });
});

test('a registration for no event says so', async () => {
  const nowhere = { veranstaltungId: 2_000_000_000 };
  const error = { code: 'conflict', message: 'veranstaltungId: there is no such Veranstaltung' };
  const fields = { vorname: 'A', nachname: 'B', email: 'a@b' };
  expect(await call('POST', '/api/anmeldungen', { ...fields, ...nowhere })).toEqual({ status: 409, body: { error } });
  expect(await call('PATCH', '/api/anmeldungen/1', nowhere)).toEqual({ status: 409, body: { error } });
});

test.each([
  ['0000-12-31T23:00:00Z', 400],
  ['0001-01-01T00:00:00+05:00', 400],
  ['0001-01-01T00:00:00Z', 200],
])('meldebeginn %s is %i: a year that the API can give back', async (meldebeginn, status) => {
  expect((await call('PATCH', `/api/veranstaltungen/${id}`, { meldebeginn })).status).toBe(status);
});

test('a body in an encoding that nobody knows is 415', async () => {
  const response = await fetch(`${server.url}/api/veranstaltungen/${id}`, {
    method: 'PATCH',
    headers: {
      Authorization: `Bearer ${await server.token()}`,
      'Content-Type': 'application/json',
      'Content-Encoding': 'x-unknown',
    },
    body: '{"ort":"hier"}',
  });
  expect(response.status).toBe(415);
});

test('a method that no route takes is 405 also without a body', async () => {
  const token = await server.token();
  const response = await fetch(`${server.url}/api/veranstaltungen/1`, {
    method: 'PUT',
    headers: { Authorization: `Bearer ${token}` },
  });
  expect(response.status).toBe(405);
});

describe('an admin in psql can not store', () => {
  test.each([
    ["update veranstaltung set name = E' \\t'", 'name_nicht_leer'],
    ["update veranstaltung set ende = '2030-06-30'", 'ende_nicht_vor_beginn'],
    ["update veranstaltung set ende = 'infinity'", 'zeiten_endlich'],
    ["update veranstaltung set meldeschluss = 'infinity'", 'zeiten_endlich'],
    ["update veranstaltung set meldebeginn = '2031-01-01'", 'meldeschluss_nicht_vor_meldebeginn'],
    ['update veranstaltung set max_teilnehmende = 0', 'max_teilnehmende_positiv'],
    ['update veranstaltung set teilnahmegebuehr = -1', 'teilnahmegebuehr_nicht_negativ'],
    ["update anmeldung set vorname = ''", 'vorname_nicht_leer'],
    ["update anmeldung set nachname = ' '", 'nachname_nicht_leer'],
    ["update anmeldung set email = 'a@b@c'", 'email_plausibel'],
    ["update anmeldung set email = 'a b@c'", 'email_plausibel'],
    ["update anmeldung set status = 'offen'", 'status_bekannt'],
    ["update anmeldung set erstellt_am = 'infinity'", 'erstellt_am_endlich'],
  ])('%s', async (statement, constraint) => {
    await expect(server.psql(statement)).rejects.toMatchObject({ code: '23514', constraint });
  });
});
