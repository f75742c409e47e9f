import { createHmac, generateKeyPairSync } from 'node:crypto';
import { describe, expect, jest, test } from '@jest/globals';
import { SignJWT } from 'jose';
import { pino } from 'pino';
import { useTestServer } from '../running-server.js';
import { until } from '../until.js';

const server = useTestServer({ logger: pino({ level: 'debug' }, { write: (line: string) => lines.push(line) }) });
const lines: string[] = [];

const get = (path: string, headers: Record<string, string> = {}) => fetch(server.url + path, { headers });
const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
const key = (secret: string) => new TextEncoder().encode(secret);
const claims = (more: object = {}) => ({ sub: 'ada', exp: Math.floor(Date.now() / 1000) + 60, ...more });
const signed = (payload: Record<string, unknown>, secret = server.secret, alg = 'HS256') =>
  new SignJWT(payload).setProtectedHeader({ alg }).sign(key(secret));

describe('a request without a valid token is 401', () => {
  const tokens: [string, () => string | Promise<string>, string][] = [
    ['none', () => '', 'A token is missing'],
    ['no JWT', () => 'abc', 'not valid'],
    ['another key', () => signed(claims(), 'another secret that is as long as it has to be'), 'not valid'],
    ['alg none', () => `${part({ alg: 'none' })}.${part(claims())}.`, 'not valid'],
    [
      'alg none, signed',
      () => {
        const text = `${part({ alg: 'none' })}.${part(claims())}`;
        return `${text}.${createHmac('sha256', server.secret).update(text).digest('base64url')}`;
      },
      'not valid',
    ],
    ['HS512', () => signed(claims(), server.secret, 'HS512'), 'not valid'],
    [
      'RS256',
      () =>
        new SignJWT(claims())
          .setProtectedHeader({ alg: 'RS256' })
          .sign(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey),
      'not valid',
    ],
    ...[['https://x'], ['exp'], [], 'exp', null].map((crit): [string, () => string, string] => [
      `extensions that nobody understands: crit ${JSON.stringify(crit)}`,
      () => {
        const text = `${part({ alg: 'HS256', crit, 'https://x': 1 })}.${part(claims())}`;
        return `${text}.${createHmac('sha256', server.secret).update(text).digest('base64url')}`;
      },
      'not valid',
    ]),
    ['its end in the past', () => signed(claims({ exp: 1 })), 'expired'],
    ['a beginning in the future', () => signed(claims({ nbf: Math.floor(Date.now() / 1000) + 1000 })), 'not valid'],
    ['no sub', () => signed({ exp: claims().exp }), 'no sub'],
    ['a sub that is no text', () => signed({ ...claims(), sub: 7 } as never), 'no sub'],
    ['malformed resources', () => signed(claims({ resources: 7 })), 'malformed'],
  ];
  test.each(tokens)('%s', async (_name, make, reason) => {
    const response = await get('/api/events', { Authorization: `Bearer ${await make()}` });
    expect(response.status).toBe(401);
    expect(response.headers.get('WWW-Authenticate')).toBe('Bearer');
    const body = (await response.json()) as { error: { code: string; message: string } };
    expect(body.error.code).toBe('unauthorized');
    expect(body.error.message).toContain(reason);
  });

  test('in the query of anything but a GET', async () => {
    const response = await fetch(`${server.url}/api/veranstaltungen?token=${await server.token()}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: '{}',
    });
    expect(response.status).toBe(401);
  });

  test('in the query where QUERY_TOKEN is off', async () => {
    const strict = await server.another({ queryToken: false });
    expect((await fetch(`${strict.url}/api/events?token=${await server.token()}`)).status).toBe(401);
  });

  test('with another issuer or audience than the server asks for', async () => {
    const strict = await server.another({ jwtIssuer: 'https://idp', jwtAudience: 'feed' });
    const status = async (more: object) =>
      (
        await fetch(`${strict.url}/api/anmeldungen`, {
          headers: { Authorization: `Bearer ${await signed(claims(more))}` },
        })
      ).status;
    expect(await status({ iss: 'https://idp', aud: 'feed' })).toBe(200);
    expect(await status({ iss: 'https://idp' })).toBe(401);
    expect(await status({ iss: 'https://other', aud: 'feed' })).toBe(401);
  });
});

test('a token never reaches a log line, whether header or query brought it', async () => {
  const token = await server.token();
  await (await get(`/api/anmeldungen?token=${token}`)).text();
  await (await get(`/api/nichts?token=${token}`, { Authorization: `Bearer ${token}` })).text();
  const stream = await server.stream(`resources=*&token=${token}`);
  await stream.clientId();
  stream.close();
  await until(() => lines.some((line) => line.includes('stream closed')));
  expect(lines.length).toBeGreaterThan(4);
  expect(lines.join('')).not.toContain(token.split('.')[2]);
});

describe("a token's end", () => {
  test('ends its stream, after an event that says so, and at the same instant a new request is refused', async () => {
    // exp counts whole seconds: this one holds for four at least
    const token = await server.token({ expiresInS: 5 });
    const stream = await server.stream(`resources=*`, { Authorization: `Bearer ${token}` });
    await stream.next(({ event }) => event === 'expired');
    await until(() => stream.ended());
    expect((await get('/api/events', { Authorization: `Bearer ${token}` })).status).toBe(401);
    expect(stream.events.at(-1)?.event).toBe('expired');
  });

  test('in a hundred days is waited for in steps: a longer timer than 24.8 days would fire at once', async () => {
    const timers = jest.spyOn(globalThis, 'setTimeout');
    const stream = await server.stream('resources=*', {
      Authorization: `Bearer ${await server.token({ expiresInS: 100 * 86_400 })}`,
    });
    await stream.clientId();
    const waits = timers.mock.calls.map(([, ms]) => ms ?? 0);
    timers.mockRestore();
    expect(Math.max(...waits)).toBe(2 ** 31 - 1);
  });
});
