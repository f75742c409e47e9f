import { describe, expect, test } from '@jest/globals';
import { refuseOtherSites } from '../../src/http/cross-site.js';
import type { Exchange } from '../../src/http/exchange.js';

const ALLOWED = ['https://app.example.org'];

/** Tells whether a request to https://feed.example.org with these headers passes. */
function passes(headers: Readonly<Record<string, string>>): boolean {
  const all: Readonly<Record<string, string>> = { host: 'feed.example.org', ...headers };
  const exchange = { header: (name: string) => all[name.toLowerCase()] } as Exchange;
  try {
    refuseOtherSites(exchange, ALLOWED);
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: 'forbidden' });
    return false;
  }
}

describe('a request with a cookie', () => {
  const cookie = 'session=1';
  test.each<[string, Record<string, string>, boolean]>([
    ['of the same origin', { 'sec-fetch-site': 'same-origin' }, true],
    ['of the same origin, with Origin', { 'sec-fetch-site': 'same-origin', origin: 'https://feed.example.org' }, true],
    ['typed by the user', { 'sec-fetch-site': 'none' }, true],
    ['of a program, which says neither', {}, true],
    ['of another site', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }, false],
    ['of another site that sends no Origin: an image', { 'sec-fetch-site': 'cross-site' }, false],
    ['of a neighbour, whose pages others may write', { 'sec-fetch-site': 'same-site' }, false],
    ['of an allowed origin', { 'sec-fetch-site': 'cross-site', origin: 'https://app.example.org' }, true],
    ['of an allowed neighbour', { 'sec-fetch-site': 'same-site', origin: 'https://app.example.org' }, true],
    ['of a value nobody knows', { 'sec-fetch-site': 'elsewhere' }, false],
    ['of an older browser, same origin', { origin: 'https://feed.example.org' }, true],
    ['of an older browser, another site', { origin: 'https://evil.example' }, false],
    ['of an older browser, another port', { origin: 'https://feed.example.org:8443' }, false],
    ['of an older browser, a sandboxed frame', { origin: 'null' }, false],
    ['of an older browser, a longer name', { origin: 'https://feed.example.org.evil.example' }, false],
    ['of an older browser, allowed', { origin: 'https://app.example.org' }, true],
    [
      'through a proxy',
      { host: '10.0.0.1:3000', 'x-forwarded-host': 'feed.example.org', origin: 'https://feed.example.org' },
      true,
    ],
    ['over HTTP/2', { host: '', ':authority': 'feed.example.org', origin: 'https://feed.example.org' }, true],
  ])('%s', (_what, headers, expected) => {
    expect(passes({ cookie, ...headers })).toBe(expected);
  });
});

test.each([
  ['Basic YWRhOjE=', false],
  ['negotiate abc', false],
  ['Digest username="ada"', false],
  ['Bearer abc', true],
  ['ApiKey abc', true],
])('a request of another site with Authorization: %s passes: %s', (authorization, expected) => {
  expect(passes({ authorization, 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' })).toBe(expected);
});

test("a request of another site without credentials passes: it has nobody's rights", () => {
  expect(passes({ 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' })).toBe(true);
});
