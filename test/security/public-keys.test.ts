import { createHmac, createSign, generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { type JWTHeaderParameters, SignJWT } from 'jose';
import { pino } from 'pino';
import type { RunningServer } from '../../src/koa/server.js';
import { openStream } from '../event-stream.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { until } from '../until.js';

// Tokens of an identity provider: JWKS_URL.

interface Pair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

const rsa = () => generateKeyPairSync('rsa', { modulusLength: 2048 });
const KEYS = {
  RS256: rsa(),
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: generateKeyPairSync('ed25519'),
} satisfies Record<string, Pair>;

let server: TestServer;
let provider: Server;
let url: string;
/** What the provider answers, and how often it was asked. */
let keys: JsonWebKey[];
let status: number;
let asked: number;
const lines: string[] = [];
const servers: RunningServer[] = [];

const jwk = ({ publicKey }: Pair, more: object = {}) => ({
  ...publicKey.export({ format: 'jwk' }),
  use: 'sig',
  ...more,
});

beforeAll(async () => {
  server = await startTestServer();
  provider = createServer((_request, response) => {
    asked += 1;
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify({ keys }));
  });
  await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(provider.address() as AddressInfo).port}/keys`;
});

beforeEach(() => {
  keys = Object.entries(KEYS).map(([alg, pair]) => jwk(pair, { kid: alg }));
  status = 200;
  asked = 0;
  lines.length = 0;
});

afterEach(() => {
  jest.restoreAllMocks();
});

afterAll(async () => {
  for (const other of servers) await other.stop();
  await server.stop();
  provider.closeAllConnections();
  provider.close();
});

/** A server that has fetched the keys of now. */
async function withKeys(more: object = {}): Promise<RunningServer> {
  const before = asked;
  const logger = pino({ level: 'debug' }, { write: (line: string) => lines.push(line) });
  const other = await server.another({ jwtSecret: undefined, jwksUrl: url, logger, ...more });
  servers.push(other);
  await until(() => asked > before, 'the keys to be fetched');
  await until(async () => status !== 200 || (await call(other, await sign('RS256'))).status === 200, 'the keys');
  return other;
}

const claims = (more: object = {}) => ({ sub: 'ada', exp: Math.floor(Date.now() / 1000) + 60, ...more });

function sign(
  alg: keyof typeof KEYS,
  more: object = {},
  header: Partial<JWTHeaderParameters> = {},
  key: KeyObject = KEYS[alg].privateKey,
): Promise<string> {
  return new SignJWT(claims(more)).setProtectedHeader({ alg, kid: alg, ...header }).sign(key);
}

const call = ({ url: address }: RunningServer, token: string) =>
  fetch(`${address}/api/anmeldungen`, { headers: { Authorization: `Bearer ${token}` } });

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

test.each(['RS256', 'ES256', 'EdDSA'] as const)('%s opens REST and streams', async (alg) => {
  const other = await withKeys();
  expect((await call(other, await sign(alg))).status).toBe(200);
  const stream = await openStream(`${other.url}/api/events?token=${await sign(alg)}`);
  await stream.clientId();
  stream.close();
});

describe('is refused with 401', () => {
  let other: RunningServer;

  beforeAll(async () => {
    keys = [
      ...Object.entries(KEYS).map(([alg, pair]) => jwk(pair, { kid: alg })),
      jwk(rsa(), { kid: 'for-encryption', use: 'enc' }),
      {
        kty: 'oct',
        kid: 'symmetric',
        k: Buffer.from('a secret that anybody can fetch, 32 bytes').toString('base64url'),
      },
    ];
    status = 200;
    other = await withKeys();
  });

  const pem = () => KEYS.RS256.publicKey.export({ format: 'pem', type: 'spki' }) as string;
  const hs256 = (secret: string, kid: string) => {
    const text = `${part({ alg: 'HS256', kid })}.${part(claims())}`;
    return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
  };
  const attacks: [string, () => string | Promise<string>][] = [
    ['algorithm confusion: the public key taken for an HMAC secret', () => hs256(pem(), 'RS256')],
    [
      'algorithm confusion: the public key as JWK taken for an HMAC secret',
      () => hs256(JSON.stringify(jwk(KEYS.RS256, { kid: 'RS256' })), 'RS256'),
    ],
    [
      'a symmetric key that stands among the public ones',
      () => hs256('a secret that anybody can fetch, 32 bytes', 'symmetric'),
    ],
    ['alg none', () => `${part({ alg: 'none' })}.${part(claims())}.`],
    ['alg none, with a kid', () => `${part({ alg: 'none', kid: 'RS256' })}.${part(claims())}.`],
    ['a token of our own secret', () => server.token()],
    [
      'an algorithm that was not agreed upon, with the right key',
      () => new SignJWT(claims()).setProtectedHeader({ alg: 'PS256', kid: 'RS256' }).sign(KEYS.RS256.privateKey),
    ],
    [
      "a key that the token brings along ('jwk')",
      () => {
        const own = rsa();
        return sign('RS256', {}, { jwk: jwk(own), kid: 'own' } as object, own.privateKey);
      },
    ],
    [
      "a key that the token points to ('jku', 'x5u')",
      () => sign('RS256', {}, { jku: url, x5u: url, kid: 'own' } as object, rsa().privateKey),
    ],
    ['the kid of another key', () => sign('RS256', {}, { kid: 'ES256' })],
    ['the kid of a right key, signed with another', () => sign('RS256', {}, {}, rsa().privateKey)],
    ...['../../../dev/null', "' or 1=1 --", '__proto__', 'constructor', '', 'x'.repeat(5000)].map(
      (kid): [string, () => Promise<string>] => [`the kid ${kid.slice(0, 20)}`, () => sign('RS256', {}, { kid })],
    ),
    ['a kid that is no text', () => sign('RS256', {}, { kid: 7 } as object)],
    ['a key for encryption', () => sign('RS256', {}, { kid: 'for-encryption' }, rsa().privateKey)],
    [
      "an extension that nobody understands ('crit')",
      () => {
        const text = `${part({ alg: 'RS256', kid: 'RS256', crit: ['https://x'], 'https://x': 1 })}.${part(claims())}`;
        return `${text}.${createSign('sha256').update(text).sign(KEYS.RS256.privateKey, 'base64url')}`;
      },
    ],
    ['a changed claim', async () => (await sign('RS256')).replace(/\.[^.]+\./, `.${part(claims({ sub: 'root' }))}.`)],
    ['its end in the past', () => sign('RS256', { exp: 1 })],
    ['a beginning in the future', () => sign('RS256', { nbf: claims().exp + 100 })],
    [
      'no sub',
      () =>
        new SignJWT({ exp: claims().exp })
          .setProtectedHeader({ alg: 'RS256', kid: 'RS256' })
          .sign(KEYS.RS256.privateKey),
    ],
    ['none', () => ''],
    ['no JWT', () => 'abc'],
    ['five parts, an encrypted one', () => 'eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d'],
  ];
  test.each(attacks)('%s', async (_name, make) => {
    const answer = await call(other, await make());
    expect({ status: answer.status, body: await answer.json() }).toEqual({
      status: 401,
      body: { error: { code: 'unauthorized', message: expect.any(String) } },
    });
  });
});

test('an issuer, an audience and a tolerance count as with a secret', async () => {
  const strict = await server.another({
    jwtSecret: undefined,
    jwksUrl: url,
    jwtIssuer: 'https://idp',
    jwtAudience: 'feed',
    jwtToleranceS: 30,
  });
  const status = async (more: object) => (await call(strict, await sign('ES256', more))).status;
  const right = { iss: 'https://idp', aud: 'feed' };
  expect(await status(right)).toBe(200);
  expect(await status({ ...right, exp: Math.floor(Date.now() / 1000) - 20 })).toBe(200);
  expect(await status({ ...right, exp: Math.floor(Date.now() / 1000) - 31 })).toBe(401);
  expect(await status({ iss: 'https://idp' })).toBe(401);
  expect(await status({ ...right, aud: 'another' })).toBe(401);
  expect(await status({ ...right, iss: 'https://other' })).toBe(401);
});

test('without an audience the log warns: the provider signs for others, too', async () => {
  await withKeys();
  expect(lines.join('')).toContain('JWKS_URL without JWT_AUDIENCE');
});

describe('the keys', () => {
  test('are fetched once for many requests', async () => {
    const other = await withKeys();
    const before = asked;
    await Promise.all(Array.from({ length: 50 }, async () => call(other, await sign('ES256'))));
    expect(asked).toBe(before);
  });

  test('may be rotated: an unknown kid fetches them anew, and a flood of unknown ones does not', async () => {
    const other = await withKeys();
    const next = rsa();
    keys = [jwk(next, { kid: 'next' })];
    const token = () => sign('RS256', {}, { kid: 'next' }, next.privateKey);
    const before = asked;
    const flood = await Promise.all(Array.from({ length: 50 }, async () => (await call(other, await token())).status));
    expect({ flood: new Set(flood), asked }).toEqual({ flood: new Set([401]), asked: before });

    const now = performance.now.bind(performance);
    jest.spyOn(performance, 'now').mockImplementation(() => now() + 31_000);
    expect((await call(other, await token())).status).toBe(200);
    expect(asked).toBe(before + 1);
    // The withdrawn one is not taken any more
    expect((await call(other, await sign('RS256'))).status).toBe(401);
  });

  test('that were withdrawn hold for ten minutes at the most', async () => {
    const other = await withKeys();
    keys = [];
    expect((await call(other, await sign('RS256'))).status).toBe(200);
    const now = performance.now.bind(performance);
    jest.spyOn(performance, 'now').mockImplementation(() => now() + 601_000);
    expect((await call(other, await sign('RS256'))).status).toBe(401);
  });

  test('that were withdrawn hold no longer when the clock is set back', async () => {
    const other = await withKeys();
    const token = await sign('RS256');
    keys = [];
    const sinceStart = performance.now.bind(performance);
    jest.spyOn(performance, 'now').mockImplementation(() => sinceStart() + 601_000);
    const clock = Date.now.bind(Date);
    jest.spyOn(Date, 'now').mockImplementation(() => clock() - 3_600_000);
    expect((await call(other, token)).status).toBe(401);
  });

  test('that cannot be had are 503, not 401, and are not asked for at each request', async () => {
    status = 500;
    const other = await withKeys();
    const before = asked;
    const answers = await Promise.all(Array.from({ length: 20 }, async () => call(other, await sign('RS256'))));
    for (const answer of answers) {
      expect({ status: answer.status, retry: answer.headers.get('Retry-After') }).toEqual({ status: 503, retry: '5' });
      expect(await answer.json()).toEqual({ error: { code: 'unavailable', message: expect.any(String) } });
    }
    expect(asked - before).toBeLessThanOrEqual(1);
    expect(lines.join('')).toContain('the keys of JWKS_URL could not be fetched');
    status = 200;
    await until(async () => (await call(other, await sign('RS256'))).status === 200, 'the keys to be there');
  });

  test.each<[string, () => unknown]>([
    ['no JWKS', () => 7],
    ['a private key', () => [{ ...KEYS.RS256.privateKey.export({ format: 'jwk' }), kid: 'RS256' }]],
    ['a malformed key', () => [{ kty: 'RSA', kid: 'RS256', n: '!', e: '!' }]],
    ['too short a key', () => [jwk(generateKeyPairSync('rsa', { modulusLength: 1024 }), { kid: 'RS256' })]],
  ])('that are %s open nothing, and are no 500', async (_name, make) => {
    keys = make() as JsonWebKey[];
    const before = asked;
    const other = await server.another({ jwtSecret: undefined, jwksUrl: url });
    await until(() => asked > before, 'the keys to be fetched');
    expect([401, 503]).toContain((await call(other, await sign('RS256'))).status);
  });
});
