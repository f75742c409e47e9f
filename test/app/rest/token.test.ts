import { beforeAll, expect, test } from '@jest/globals';
import { useTestServer } from '../../running-server.js';

const server = useTestServer();
let token: string;

beforeAll(async () => {
  token = await server.token();
  await server.psql(`insert into veranstaltung
    (name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr)
    values ('Fest', '2030-07-01', '2030-07-01', now(), now(), 1, 0)`);
});

const status = async (path: string, authorization?: string, method = 'GET') =>
  (
    await fetch(server.url + path, {
      method,
      headers: {
        ...(authorization !== undefined && { Authorization: authorization }),
        ...(method !== 'GET' && { 'Content-Type': 'application/json' }),
      },
      ...(method !== 'GET' && { body: '{"ort":"hier"}' }),
    })
  ).status;

test('a token in the query opens lists as well as rows, and is no unknown parameter', async () => {
  expect(await status(`/api/veranstaltungen?limit=1&token=${token}`)).toBe(200);
  expect(await status(`/api/anmeldungen?token=${token}&veranstaltungId=1`)).toBe(200);
  expect(await status(`/api/veranstaltungen/1?token=${token}`)).toBe(200);
});

test("a proxy's Basic password does not hide the token in the query", async () => {
  expect(await status(`/api/veranstaltungen?token=${token}`, 'Basic YWRhOmFkYQ==')).toBe(200);
  expect(await status('/api/veranstaltungen', 'Basic YWRhOmFkYQ==')).toBe(401);
  expect(await status(`/api/veranstaltungen/1?token=${token}`, 'Basic YWRhOmFkYQ==', 'PATCH')).toBe(401);
});

test('the header goes before the query, also when its token is not valid', async () => {
  expect(await status(`/api/veranstaltungen?token=${token}`, 'Bearer abc')).toBe(401);
  expect(await status('/api/veranstaltungen?token=abc', `Bearer ${token}`)).toBe(200);
});

test('a token with something behind it is none', async () => {
  expect(await status('/api/veranstaltungen', `Bearer ${token}`)).toBe(200);
  expect(await status('/api/veranstaltungen', `Bearer ${token} more`)).toBe(401);
  expect(await status('/api/veranstaltungen', `bearer  ${token}`)).toBe(200);
  expect(await status('/api/veranstaltungen', 'Bearer')).toBe(401);
});

test('a sub that Postgres cannot hold is 401, not a 400 for each write', async () => {
  const strange = await server.token({ sub: 'a\0b' });
  expect(await status('/api/veranstaltungen/1', `Bearer ${strange}`, 'PATCH')).toBe(401);
  const long = await server.token({ sub: 'ä'.repeat(200) });
  expect(await status('/api/veranstaltungen/1', `Bearer ${long}`, 'PATCH')).toBe(200);
  const tooLong = await server.token({ sub: 'ä'.repeat(201) });
  expect(await status('/api/veranstaltungen/1', `Bearer ${tooLong}`)).toBe(401);
});
