import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parseDuration, readConfig } from '../src/config.js';
import { OperatorError } from '../src/operator-error.js';
import { packageRoot } from '../src/package-root.js';

describe('a setting that is wrong', () => {
  test.each([
    ['PORT', 'abc', 'expected a whole number from 0 to 65535'],
    ['PORT', '65536', 'expected a whole number from 0 to 65535'],
    ['PORT', '-1', 'expected a whole number'],
    ['DATABASE_URL', 'mysql://x', 'expected postgres://'],
    ['DATABASE_URL', 'postgres://[', 'expected postgres://'],
    ['JWT_SECRET', 'zu kurz', 'expected at least 32 bytes'],
    ['JWKS_URL', 'http://idp.example/keys', 'expected https://'],
    ['JWKS_URL', 'https://user:geheim@idp.example/keys', 'expected https://'],
    ['JWKS_URL', 'file:///etc/passwd', 'expected https://'],
    ['MAX_STREAMS', '0', 'expected a whole number from 1'],
    ['MAX_STREAMS_PER_SUBJECT', 'unbegrenzt', 'expected a whole number from 1'],
    ['MAX_SUBSCRIPTIONS', '10001', 'expected a whole number from 1 to 10000'],
    ['MAX_POSTS_PER_S', '0.5', 'expected a whole number from 1'],
    ['MAX_REQUESTS_PER_SUBJECT', '0', 'expected a whole number from 1'],
    ['MAX_BODY_KB', '0', 'expected a whole number from 1'],
    ['MAX_HEADER_KB', '3', 'expected a whole number from 4'],
    ['MAX_CONNECTIONS', '1', 'expected a whole number from 10'],
    ['HEADERS_TIMEOUT_S', '0', 'expected a whole number from 1'],
    ['REQUEST_TIMEOUT_S', '9', 'expected at least HEADERS_TIMEOUT_S'],
    ['STALL_S', '0', 'expected a whole number from 1'],
    ['QUERY_TOKEN', 'true', 'expected on or off'],
    ['CORS_ORIGINS', 'https://a.example/path', 'expected origins'],
    ['CORS_ORIGINS', '*', 'expected origins'],
    ['METRICS_TOKEN', 'zu kurz', 'expected at least 16'],
    ['LOG_LEVEL', 'laut', 'expected debug, info, warn, error or silent'],
    ['HEARTBEAT_S', '0', 'expected a whole number from 1 to 3600'],
    ['LOG_RETENTION', '24', 'expected a duration'],
    ['LOG_RETENTION', '0h', 'expected a duration'],
    ['LOG_MAX_ROWS', '10', 'expected a whole number from 1000'],
  ])('%s=%s names the variable and what it expects, and does not show its value', (name, value, message) => {
    const read = () => readConfig({ [name]: value });
    expect(read).toThrow(OperatorError);
    expect(read).toThrow(`${name}: ${message}`);
    if (value.length > 3) expect(read).not.toThrow(value);
  });

  test('the key of our own tokens and those of others together: which is meant?', () => {
    const both = { JWT_SECRET: 'x'.repeat(32), JWKS_URL: 'https://idp.example/keys' };
    expect(() => readConfig(both)).toThrow(/^JWT_SECRET, JWKS_URL: expected one of the two/);
  });

  test('does not hide another', () => {
    expect(() => readConfig({ PORT: 'x', LOG_LEVEL: 'y' })).toThrow(/PORT: .*\nLOG_LEVEL: /);
  });
});

test('an empty variable counts as not set', () => {
  expect(readConfig({ PORT: '', DATABASE_URL: '' })).toEqual(readConfig({}));
});

test('lists are read', () => {
  const config = readConfig({ DEFAULT_RESOURCES: 'a, b,', CORS_ORIGINS: 'https://a.example,http://localhost:5173' });
  expect(config.defaultResources).toEqual(['a', 'b']);
  expect(config.corsOrigins).toEqual(['https://a.example', 'http://localhost:5173']);
  expect(readConfig({}).defaultResources).toBe('*');
});

test('keys are fetched over plain HTTP from this machine only', () => {
  for (const url of [
    'https://idp.example/keys',
    'http://localhost:8080/keys',
    'http://127.0.0.1/keys',
    'http://[::1]/k',
  ]) {
    expect(readConfig({ JWKS_URL: url }).jwksUrl).toBe(url);
  }
});

test('a comma alone lets a token without the claim read nothing', () => {
  expect(readConfig({ DEFAULT_RESOURCES: ',' }).defaultResources).toEqual([]);
});

test('durations are read as seconds', () => {
  expect(['90s', '10 min', '24h', '7d'].map(parseDuration)).toEqual([90, 600, 86_400, 604_800]);
});

test('.env.example lists every variable with its default, and no other', async () => {
  const text = await readFile(join(packageRoot, '.env.example'), 'utf8');
  const listed = Object.fromEntries([...text.matchAll(/^#([A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [name, value]));
  // The application has settings of its own beside the library's.
  const sources = await Promise.all(
    ['src/config.ts', 'src/app/settings.ts'].map((name) => readFile(join(packageRoot, name), 'utf8')),
  );
  const read = sources.flatMap((source) => [...source.matchAll(/^ {2}([A-Z_]+):/gm)].map(([, name]) => name));
  expect(Object.keys(listed).sort()).toEqual([...read].sort());
  // The one with a value that is no default but an example
  expect(readConfig({ ...listed, DATABASE_URL: '' })).toEqual(readConfig({}));
});
