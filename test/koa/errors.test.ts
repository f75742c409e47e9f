import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import Router from '@koa/router';
import Koa, { type Context, type Middleware } from 'koa';
import { type Kysely, sql } from 'kysely';
import pg from 'pg';
import { pino } from 'pino';
import { z } from 'zod';
import { createDatabase } from '../../src/app/database.js';
import type { Database } from '../../src/app/tables.js';
import { HttpError } from '../../src/http/http-error.js';
import { errorResponses } from '../../src/koa/errors.js';
import { createTestDatabase, type TestDatabase } from '../test-database.js';

let database: TestDatabase;
let db: Kysely<Database>;
let http: Server;
/** What the route of the test does. */
let work: (ctx: Context) => unknown;
const lines: string[] = [];
let responses: Middleware;

beforeAll(async () => {
  database = await createTestDatabase();
  db = createDatabase(database.url);
  await sql`insert into veranstaltung (name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr)
    values ('Fest', '2030-07-01', '2030-07-01', now(), now(), 1, 0)`.execute(db);
  const router = new Router().get('/work', (ctx) => work(ctx));
  const app = new Koa()
    .use((ctx, next) => responses(ctx, next))
    .use(router.routes())
    .use(router.allowedMethods());
  http = createServer(app.callback());
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
});

afterAll(async () => {
  await new Promise((resolve) => http.close(resolve));
  await db.destroy();
  await database.drop();
});

beforeEach(() => {
  lines.length = 0;
  responses = errorResponses(pino({}, { write: (line: string) => lines.push(line) }));
});

async function answer(method = 'GET', path = '/work') {
  const response = await fetch(`http://127.0.0.1:${(http.address() as AddressInfo).port}${path}`, { method });
  const { error } = (await response.json()) as { error: { code: string; message: string } };
  return { status: response.status, headers: response.headers, ...error };
}

const failing = (code: string) => `do $$ begin raise exception 'geheim' using errcode = '${code}'; end $$`;

describe("Postgres' own errors", () => {
  test.each<[string, number, string, RegExp]>([
    ['update veranstaltung set max_teilnehmende = 0', 400, 'bad_request', /max_teilnehmende_positiv/],
    ['update veranstaltung set name = null', 400, 'bad_request', /^name: expected a value$/],
    ['select 2147483648::integer', 400, 'bad_request', /out of range/],
    ["select 'geheim'::integer", 400, 'bad_request', /out of range/],
    [
      'insert into veranstaltung overriding system value select * from veranstaltung',
      409,
      'conflict',
      /^There is such a row already$/,
    ],
    [
      "insert into anmeldung (veranstaltung_id, vorname, nachname, email) values (9, 'A', 'B', 'a@b')",
      409,
      'conflict',
      /does not exist/,
    ],
    [failing('40001'), 503, 'unavailable', /in the way/],
    [failing('40P01'), 503, 'unavailable', /in the way/],
    [failing('57014'), 503, 'unavailable', /took too long/],
    [failing('25006'), 503, 'unavailable', /cannot be reached/],
    [failing('53300'), 503, 'unavailable', /cannot be reached/],
    [failing('57P03'), 503, 'unavailable', /cannot be reached/],
    [failing('08006'), 503, 'unavailable', /cannot be reached/],
  ])('%s', async (statement, status, code, message) => {
    work = () => sql.raw(statement).execute(db);
    const received = await answer();
    expect({ status: received.status, code: received.code }).toEqual({ status, code });
    expect(received.message).toMatch(message);
    expect(received.message).not.toMatch(/geheim|relation|violates/);
    expect(received.headers.get('Retry-After')).toBe(status === 503 ? '1' : null);
    expect(lines).toHaveLength(status === 503 ? 1 : 0);
  });

  test('a lock that someone else holds', async () => {
    const other = new pg.Client(database.url);
    await other.connect();
    await other.query('begin; lock table veranstaltung');
    work = () => db.transaction().execute((transaction) => sql`lock table veranstaltung nowait`.execute(transaction));
    expect(await answer()).toMatchObject({ status: 503, code: 'unavailable' });
    await other.end();
  });

  test('a mistake of ours is a 500 that does not describe it, and is logged', async () => {
    work = () => sql`select geheim from nirgends`.execute(db);
    expect(await answer()).toMatchObject({
      status: 500,
      code: 'internal',
      message: 'Something went wrong on the server',
    });
    expect(lines.join('')).toContain('nirgends');
  });
});

test('requests that fail while the database is gone are logged once a minute, not one by one', async () => {
  work = () => sql.raw(failing('57P03')).execute(db);
  for (let i = 0; i < 20; i += 1) expect((await answer()).status).toBe(503);
  expect(lines).toHaveLength(1);
});

describe('a database that is gone', () => {
  // Raised here: what Node itself raises is from outside of jest's realm, and no instance of its Error.
  test.each(['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND'])('%s', async (code) => {
    work = () => raise(Object.assign(new Error(`connect ${code} geheim`), { code }));
    const received = await answer();
    expect(received).toMatchObject({ status: 503, code: 'unavailable' });
    expect(received.message).not.toContain('geheim');
  });

  test('with no connection left in the pool', async () => {
    const pool = new pg.Pool({ connectionString: database.url, max: 1 });
    const held = await pool.connect();
    pool.options.connectionTimeoutMillis = 50; // for the next one, which gets none
    work = () => pool.query('select 1');
    expect(await answer()).toMatchObject({ status: 503, code: 'unavailable' });
    held.release();
    await pool.end();
  });
});

describe('what is thrown', () => {
  const thrown: [string, (ctx: Context) => never, object][] = [
    [
      'a message of Koa for the client',
      (ctx) => ctx.throw(403, 'nicht hier'),
      { status: 403, code: 'forbidden', message: 'nicht hier' },
    ],
    [
      'a message of Koa for us',
      (ctx) => ctx.throw(413, 'geheim', { expose: false }),
      { status: 413, code: 'payload_too_large', message: 'payload too large' },
    ],
    [
      'a status that has no code of ours',
      (ctx) => ctx.throw(422, 'unklar'),
      { status: 400, code: 'bad_request', message: 'unklar' },
    ],
    ['a 502 of a library', (ctx) => ctx.throw(502, 'geheim', { expose: true }), { status: 500, code: 'internal' }],
    [
      'an error with a strange status',
      () => raise(Object.assign(new Error('geheim'), { status: 200 })),
      { status: 500 },
    ],
    ['an error', () => raise(new Error('geheim')), { status: 500, code: 'internal' }],
    ['no error at all', () => raise('geheim'), { status: 500, code: 'internal' }],
    [
      'a field that zod refuses',
      () => raise(z.object({ a: z.object({ b: z.number('expected b') }) }).safeParse({ a: {} }).error),
      { status: 400, code: 'bad_request', message: 'a.b: expected b' },
    ],
  ];
  test.each(thrown)('%s', async (_name, throwIt, expected) => {
    work = throwIt;
    const received = await answer();
    expect(received).toMatchObject(expected);
    expect(received.message).not.toContain('geheim');
    expect(received.headers.get('Cache-Control')).toBe('no-store');
    expect(lines).toHaveLength(received.status === 500 ? 1 : 0);
  });

  test('an HttpError goes out as it is, with its headers', async () => {
    work = () => raise(new HttpError('too_many_requests', 'Zu viele', { 'Retry-After': '7' }));
    const received = await answer();
    expect(received).toMatchObject({ status: 429, code: 'too_many_requests', message: 'Zu viele' });
    expect(received.headers.get('Retry-After')).toBe('7');
  });
});

describe('what no route answers', () => {
  test.each([
    ['GET', '/nichts', 404, null],
    ['PROPFIND', '/nichts', 404, null],
    ['POST', '/work', 405, 'HEAD, GET'],
    ['PROPFIND', '/work', 405, 'HEAD, GET'],
  ])('%s %s', async (method, path, status, allow) => {
    const received = await answer(method, path);
    expect({ status: received.status, code: received.code }).toEqual({
      status,
      code: status === 404 ? 'not_found' : 'method_not_allowed',
    });
    expect(received.headers.get('Allow')).toBe(allow);
  });
});

function raise(error: unknown): never {
  throw error;
}
