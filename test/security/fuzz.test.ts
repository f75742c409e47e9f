import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { pino } from 'pino';
import { epochId } from '../../src/feed/log/epochs.js';
import { STATUS_OF_CODE } from '../../src/http/http-error.js';
import { startTestServer, type TestServer } from '../running-server.js';

// Every header, query and body, with anything in it: never a 500, never a crash, and errors only as they are documented.

let server: TestServer;
let token: string;
let clientId: string;
const lines: string[] = [];

beforeAll(async () => {
  server = await startTestServer({ logger: pino({ level: 'error' }, { write: (line: string) => lines.push(line) }) });
  token = await server.token();
  await server.psql(`insert into veranstaltung
    (id, name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr) overriding system value
    values (4711, 'Fest', '2030-07-01', '2030-07-01', now(), now(), 1, 0)`);
  clientId = await (await server.stream('resources=*')).clientId();
});

afterAll(async () => {
  // The one that was there is still: nobody has dropped, emptied or locked the tables through a text.
  expect((await server.psql('select count(*)::int as n from veranstaltung where id = 4711')).rows).toEqual([{ n: 1 }]);
  expect(lines.map((line) => JSON.parse(line).err?.stack ?? line).slice(0, 3)).toEqual([]);
  await server.stop();
});

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** Sends bytes as they are: fetch would refuse half of them. Reads the answer up to its end, or a stream's first event. */
function send(
  method: string,
  target: string,
  headers: readonly (readonly [string, string])[],
  body = '',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    const length = Buffer.byteLength(body);
    const fields = [
      ['Host', 'x'],
      ['Connection', 'close'],
      ...(length > 0 ? [['Content-Length', length]] : []),
      ...headers,
    ];
    let said = '';
    const done = () => {
      socket.destroy();
      const [head = '', ...rest] = said.split('\r\n\r\n');
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]);
      if (Number.isNaN(status)) return reject(new Error(`No answer to ${method} ${JSON.stringify(target)}: ${said}`));
      resolve({ status, type: /\r\ncontent-type: ([^\r]*)/i.exec(head)?.[1] ?? '', body: rest.join('\r\n\r\n') });
    };
    socket.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes('event: connected')) done();
    });
    socket.on('end', done);
    socket.on('error', (error) => (said ? done() : reject(error)));
    socket.write(
      `${method} ${target} HTTP/1.1\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`,
      'latin1',
    );
    socket.write(body);
  });
}

function check({ status, type, body }: Answer, verb = ''): void {
  expect(status).not.toBe(500);
  if (status < 400 || verb === 'HEAD') return;
  expect(type).toBe('application/json; charset=utf-8');
  const { error, ...more } = JSON.parse(body.replace(/^[0-9a-f]+\r\n|\r\n0\r\n\r\n$/g, ''));
  expect(more).toEqual({});
  expect(Object.keys(error)).toEqual(['code', 'message']);
  expect(STATUS_OF_CODE[error.code as keyof typeof STATUS_OF_CODE]).toBe(status);
  // No text of Postgres, of Node, or of a library
  expect(error.message).not.toMatch(
    /syntax error|relation|column|violates|ECONN|\.js:\d|\n|TypeError|Unexpected token/,
  );
}

const nasty = fc.constantFrom(
  "'; drop table veranstaltung; --",
  '1 or 1=1',
  '$1',
  '%00',
  '%',
  '%ff',
  '%0d%0aX-A:%20b',
  '../../etc/passwd',
  '__proto__',
  'constructor',
  'NaN',
  '-1',
  '1e400',
  '99999999999999999999',
  'null',
  '*',
  ',',
  '{"$gt":""}',
  'x'.repeat(500),
);
const anything = fc.oneof(nasty, fc.string({ maxLength: 50 }), fc.string({ unit: 'binary', maxLength: 20 }));
/** Text for a URL: escaped, or left as it is where a request line can hold it. */
const inUrl = fc.oneof(
  anything.map((text) => encodeURIComponent(text)),
  fc.string({ unit: fc.constantFrom(...'abc%/?&=#;:@[]{}|^`"<>\\~+,.*!$\'()'), maxLength: 30 }),
);
/** What a header's value may hold (RFC 9110, 5.5), and a little that it may not. */
const headerValue = fc.oneof(
  nasty,
  fc.string({
    unit: fc
      .integer({ min: 0x20, max: 0xff })
      .filter((code) => code !== 0x7f)
      .map((code) => String.fromCharCode(code)),
    maxLength: 60,
  }),
);
// DELETE would take the row away
const method = fc.constantFrom('GET', 'POST', 'PATCH', 'PUT', 'OPTIONS', 'PROPFIND', 'HEAD');
const path = fc.oneof(
  fc.constantFrom(
    '/',
    '*',
    'http://x/api/anmeldungen',
    'http://[/',
    'http://x:99999/',
    '/healthz',
    '/readyz',
    '/api',
    '/api/',
    '/api/events',
    '/api/events/',
    '/api/events/subscribe',
    '/api/events/unsubscribe',
    '/api/veranstaltungen',
    '/api/veranstaltungen/4711',
    '/api/anmeldungen',
    '//',
    '/api//events',
  ),
  inUrl.map((text) => `/api/veranstaltungen/${text}`),
  inUrl.map((text) => `/${text}`),
);
const query = fc
  .array(
    fc.tuple(
      fc.oneof(
        fc.constantFrom('resources', 'lastEventId', 'token', 'limit', 'offset', 'sort', 'veranstaltungId'),
        inUrl,
      ),
      inUrl,
    ),
    { maxLength: 4 },
  )
  .map((parts) => parts.map(([name, value]) => `${name}=${value}`).join('&'));
const headerName = fc.constantFrom(
  'Authorization',
  'Last-Event-ID',
  'Content-Type',
  'Content-Encoding',
  'Accept',
  'Accept-Encoding',
  'Origin',
  'Cookie',
  'If-Match',
  'If-None-Match',
  'Change-Feed-Client',
  'X-Forwarded-For',
  'X-Forwarded-Host',
  'X-HTTP-Method-Override',
  'Expect',
  'Upgrade',
  'Range',
  'Referer',
  'Access-Control-Request-Method',
  'Access-Control-Request-Headers',
  'Transfer-Encoding',
  'Host',
);
const headers = fc.array(fc.tuple(headerName, headerValue), { maxLength: 4 });
const runs = { numRuns: 700 };

test('any method, path, query and header, with a token', async () => {
  await fc.assert(
    fc.asyncProperty(method, path, query, headers, async (verb, where, what, extra) => {
      const authorized: [string, string][] = [['Authorization', `Bearer ${token}`]];
      const own = extra.some(([name]) => name === 'Authorization') ? [] : authorized;
      check(await send(verb, `${where}?${what}`.replaceAll(' ', '+'), [...own, ...extra]), verb);
    }),
    runs,
  );
});

test('any method, path and query without a token opens nothing', async () => {
  await fc.assert(
    fc.asyncProperty(method, path, query, async (verb, where, what) => {
      const answer = await send(verb, `${where}?${what}`.replaceAll(' ', '+'), []);
      check(answer, verb);
      if (/^\/api\//.test(where) && verb !== 'OPTIONS') expect([400, 401]).toContain(answer.status);
    }),
    runs,
  );
});

test.each([
  '/assets/..%2findex.html',
  '/assets/..%2f..%2f..%2fpackage.json',
  '/assets/%2e%2e%2f%2e%2e%2fsrc%2fcli.js',
  '/assets/..%5c..%5cpackage.json',
  '/../../package.json',
  '/assets//etc/passwd',
  '/assets/%2fetc%2fpasswd',
  '/assets/a%00.js',
])('a file outside of the web UI: %s', async (target) => {
  const answer = await send('GET', target, []);
  check(answer);
  expect(answer.status).toBe(404);
});

test('any token', async () => {
  const part = fc.oneof(
    fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value)).toString('base64url')),
    fc
      .record({ alg: fc.constantFrom('HS256', 'none', 'RS256', '', 'constructor'), kid: anything })
      .map((value) => Buffer.from(JSON.stringify(value)).toString('base64url')),
    fc.base64String().map((text) => text.replace(/[+/=]/g, '_')),
    fc.string({ unit: fc.constantFrom(...'abc.-_ ='), maxLength: 20 }),
  );
  const text = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('.'));
  await fc.assert(
    fc.asyncProperty(text, fc.boolean(), async (forged, inQuery) => {
      const answer = inQuery
        ? await send('GET', `/api/anmeldungen?token=${encodeURIComponent(forged)}`, [])
        : await send('GET', '/api/anmeldungen', [['Authorization', `Bearer ${forged}`]]);
      check(answer);
      expect(answer.status).toBe(401);
    }),
    runs,
  );
});

test('any body', async () => {
  const field = fc.oneof(
    anything,
    fc.jsonValue({ maxDepth: 3 }),
    fc.integer(),
    fc.constantFrom('2030-07-01', '2030-06-01T18:00:00Z', 1, 0, null),
  );
  const names = [
    'name',
    'beginn',
    'ende',
    'meldebeginn',
    'meldeschluss',
    'ort',
    'maxTeilnehmende',
    'teilnahmegebuehr',
    'veranstaltungId',
    'vorname',
    'nachname',
    'email',
    'status',
    'clientId',
    'resource',
    'since',
    '__proto__',
    'id',
  ];
  const object = fc.dictionary(fc.constantFrom(...names), field, { maxKeys: 9 });
  const subscription = fc.record(
    { clientId: fc.oneof(fc.constant(clientId), anything), resource: anything, since: anything },
    { requiredKeys: ['clientId', 'resource'] },
  );
  const body = fc.oneof(
    fc.oneof(object, subscription, fc.jsonValue()).map((value) => JSON.stringify(value)),
    fc.string({ unit: 'binary' }),
    fc.integer({ min: 1, max: 10_000 }).map((depth) => '['.repeat(depth)),
    fc.constantFrom('{"a":', '\ufeff{}', '{"__proto__":{"x":1}}', '{"a":1}{"b":2}', '\0'),
  );
  const target = fc.constantFrom(
    '/api/veranstaltungen',
    '/api/anmeldungen',
    '/api/events/subscribe',
    '/api/events/unsubscribe',
  );
  const type = fc.constantFrom(
    'application/json',
    'application/json; charset=utf-16',
    'application/json; charset=nichts',
    'text/plain',
    'application/json;;',
    '',
  );
  await fc.assert(
    fc.asyncProperty(
      target,
      body,
      fc.oneof({ weight: 4, arbitrary: fc.constant('application/json') }, { weight: 1, arbitrary: type }),
      async (where, text, contentType) => {
        check(
          await send(
            'POST',
            where,
            [
              ['Authorization', `Bearer ${token}`],
              ['Content-Type', contentType],
            ],
            text,
          ),
        );
      },
    ),
    runs,
  );
  await fc.assert(
    fc.asyncProperty(object, headerValue, headerValue, async (value, match, client) => {
      check(
        await send(
          'PATCH',
          '/api/veranstaltungen/4711',
          [
            ['Authorization', `Bearer ${token}`],
            ['Content-Type', 'application/json'],
            ['If-Match', match],
            ['Change-Feed-Client', client],
          ],
          JSON.stringify(value),
        ),
      );
    }),
    runs,
  );
});

test('any position to resume from', async () => {
  const number = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n }), fc.integer({ min: 0, max: 1000 }));
  const position = fc.oneof(
    anything,
    fc
      .tuple(
        fc.constantFrom(epochId(server.feed.position), 'abc', ''),
        number,
        number,
        fc.array(number, { maxLength: 5 }),
      )
      .map(([epoch, xmin, xmax, xip]) => `${epoch}.${xmin}:${xmax}:${xip.join(',')}`),
  );
  await fc.assert(
    fc.asyncProperty(position, async (text) => {
      const authorized: [string, string] = ['Authorization', `Bearer ${token}`];
      const opened = await send('GET', `/api/events?resources=*&lastEventId=${encodeURIComponent(text)}`, [authorized]);
      expect({ status: opened.status, type: opened.type }).toEqual({
        status: 200,
        type: 'text/event-stream; charset=utf-8',
      });
      const body = JSON.stringify({ clientId, resource: 'anmeldung', since: text });
      const answer = await send(
        'POST',
        '/api/events/subscribe',
        [authorized, ['Content-Type', 'application/json']],
        body,
      );
      check(answer);
      expect([200, 400]).toContain(answer.status);
    }),
    { numRuns: 200 },
  );
});
