import { createRequire } from 'node:module';
import { expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { parametersOf } from '../../src/http/parameters.js';
import { startTestServer } from '../running-server.js';

/** How Koa itself reads a query. */
const koas = createRequire(import.meta.url)('koa/lib/search-params.js') as { parse(text: string): object };

const piece = fc.oneof(
  fc.constantFrom('&', '=', '+', '%', '%41', '%c3%a4', '%ff', ',', '__proto__', 'constructor', 'token=', 'a=1', '&&'),
  fc.string({ maxLength: 4 }),
);

test('are those that Koa reads', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const querystring = pieces.join('');
      const parameters = parametersOf(querystring);
      const expected = koas.parse(querystring);
      expect(Object.entries(parameters)).toEqual(Object.entries(expected));
      expect(Object.getPrototypeOf(parameters)).toBe(Object.prototype);
    }),
  );
});

test.each([
  ['of one name', () => 'a&'],
  ['of different names', (i: number) => `${i}&`],
])('300,000 %s take no more time than 300,000 bytes', (_name, parameter) => {
  // In the square of their number it takes an hour, and not 0.2 s.
  const querystring = Array.from({ length: 300_000 }, (_, i) => parameter(i)).join('');
  expect(Object.keys(parametersOf(querystring)).length).toBeGreaterThan(0);
});

test('are read so for each route, with a token and without', async () => {
  const server = await startTestServer();
  const slow = jest.spyOn(URLSearchParams.prototype, 'getAll');
  const many = 'a&'.repeat(7000);
  const headers = { Authorization: `Bearer ${await server.token()}` };
  const paths = ['/', '/healthz', '/api/events', '/api/events/poll', '/api/veranstaltungen', '/api/anmeldungen/csv'];
  for (const path of paths) {
    await (await fetch(`${server.url}${path}?${many}`)).arrayBuffer();
    const { status, body } = await fetch(`${server.url}${path}?${many}`, { headers });
    expect(status).toBeLessThan(500);
    await body?.cancel();
  }
  expect(slow).not.toHaveBeenCalled();
  slow.mockRestore();
  await server.stop();
});
