import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { pino } from 'pino';
import { redact } from '../../src/http/redaction.js';
import { packageRoot } from '../../src/package-root.js';
import { startTestServer, type TestServer } from '../running-server.js';

// No token and no password in any line of the log.

const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.Zm9vYmFyYmF6';

/** What is written for a logged object. */
function lineOf(object: object, message = 'etwas'): string {
  let line = '';
  const write = (text: string) => {
    line = text;
  };
  pino({ hooks: { streamWrite: redact } }, { write }).info(object, message);
  return line;
}

describe('is not written', () => {
  const secrets: [string, object, string?][] = [
    ['a token in a URL', { url: `/api/events?resources=*&token=${JWT}&x=1` }],
    ['a token that is no JWT, in a URL', { url: '/api/events?token=geheim&resources=a' }],
    ['a token in a path', { path: `/api/${JWT}` }],
    ['a token behind a name with dots', { path: `/api/x.y.${JWT}.z` }],
    ['a token in a message', {}, `what about ${JWT}?`],
    ['a header', { req: { headers: { authorization: 'Bearer geheim' } } }],
    ['a header, deep down and in another case', { a: { b: { c: { d: { Authorization: 'Bearer geheim' } } } } }],
    ['a header in a list, as node:http keeps it', { rawHeaders: ['Authorization', 'Bearer geheim'] }],
    ['a cookie', { headers: { cookie: 'sid=geheim', 'set-cookie': 'geheim' } }],
    ["a connection's address", { databaseUrl: 'postgres://ada:geheim@localhost:5432/app' }],
    ['one with an @ in the password', { databaseUrl: 'postgresql://ada:x@geheim@localhost/app?sslmode=require' }],
    ['one with the password as a parameter', { databaseUrl: 'postgres://localhost/app?user=ada&password=geheim' }],
    ["one in Postgres' own form", {}, 'host=localhost password=geheim user=ada'],
    ['one in the message of an error', { err: new Error('no route to postgres://ada:geheim@db/app') }],
    [
      'one in the cause of an error',
      { err: new Error('oben', { cause: new Error('postgres://ada:geheim@db/app gone') }) },
    ],
    ['fields that are named so', { config: { password: 'geheim', jwtSecret: 'geheim', pool: { password: 'geheim' } } }],
    ['a field with quotes in it', { password: 'x"geheim\\' }],
    ['a number', { password: 4711 }],
  ];
  // Not as a third parameter, which jest would take for its callback where a row has two
  test.each(secrets)('%s', (_name, ...[object, message]) => {
    const line = lineOf(object, message);
    expect(line).not.toMatch(/geheim|eyJ|4711/);
    expect(line).toContain('[redacted]');
    expect(() => JSON.parse(line)).not.toThrow();
  });
});

test('what is no secret stays', () => {
  const object = {
    client: '51c5d132.3f2b9a0e-6c1d-4b7e-9a55-0d8f2b1c7e90',
    subject: 'ada',
    resources: ['a', 'b'],
    url: 'http://localhost:3000/api/events?resources=a&lastEventId=3f2a.812:815:812,813',
    path: '/api/veranstaltungen/7',
    database: 'postgres://ada@localhost:5432/app',
  };
  expect(JSON.parse(lineOf(object))).toMatchObject(object);
});

test.each([
  ['a token', 'eyJa-'],
  ['a token behind a dot', 'x.eyJa-', '.'],
  ['an address', 'a://a:'],
  ['an address whose scheme continues', 'a+'],
  ['a field', '"token":"\\'],
])(
  'a text in which %s begins again and again takes no more time than another',
  (_name, part, end = '') => {
    // With a pattern that looks at each to the end it takes 20 s, and not 30 ms.
    expect(redact(part.repeat(200_000 / part.length) + end).length).toBeGreaterThan(0);
  },
  5000,
);

test('whatever is logged stays JSON, and a token in it never gets through', () => {
  fc.assert(
    fc.property(
      fc.jsonValue(),
      fc.string(),
      fc.constantFrom(JWT, `Bearer ${JWT}`, `?token=${JWT}`),
      (value, text, secret) => {
        const line = redact(JSON.stringify({ value, text: `${text} ${secret}`, authorization: secret }));
        JSON.parse(line);
        expect(line).not.toContain('Zm9vYmFyYmF6');
      },
    ),
    { numRuns: 1000 },
  );
});

test("the server's own logger redacts", () => {
  const script = `const { createLogger } = await import('./dist/src/http/logger.js');
    createLogger('info').info({ url: '/api/events?token=${JWT}' }, 'postgres://ada:geheim@db/app');`;
  const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd: packageRoot,
    encoding: 'utf8',
  });
  expect(status).toBe(0);
  expect(stdout).toContain('[redacted]');
  expect(stdout).not.toMatch(/eyJ|geheim/);
});

describe('the server', () => {
  let server: TestServer;
  const lines: string[] = [];

  beforeAll(async () => {
    server = await startTestServer({
      // The most detailed level, without the server's redaction: the test is about what reaches the log at all
      logger: pino({ level: 'debug' }, { write: (line: string) => lines.push(line) }),
    });
  });

  afterAll(() => server.stop());

  test('sends clients no internals: neither of SQL, nor of files, nor of addresses', async () => {
    await server.psql('alter table veranstaltung rename to weg');
    const response = await fetch(`${server.url}/api/veranstaltungen?token=${await server.token()}`);
    await server.psql('alter table weg rename to veranstaltung');
    expect(response.status).toBe(500);
    expect(await response.json()).toEqual({
      error: { code: 'internal', message: 'Something went wrong on the server' },
    });
    expect(lines.join('')).toMatch(/relation .*veranstaltung.* does not exist/);
    expect(lines.join('')).not.toMatch(/eyJ/);
  });
});
