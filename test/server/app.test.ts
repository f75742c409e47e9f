import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startTestServer, type TestServer } from '../running-server.js';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({ corsOrigins: ['https://app.example'] });
});

afterAll(() => server.stop());

describe('from another site', () => {
  const preflight = (url: string, origin: string) =>
    fetch(`${url}/api/veranstaltungen/1`, {
      method: 'OPTIONS',
      headers: {
        Origin: origin,
        'Access-Control-Request-Method': 'PATCH',
        'Access-Control-Request-Headers': 'authorization,if-match',
      },
    });

  test('an origin that is named may call, and read the headers of the feed', async () => {
    const allowed = await preflight(server.url, 'https://app.example');
    expect(allowed.status).toBe(204);
    expect(allowed.headers.get('Access-Control-Allow-Origin')).toBe('https://app.example');
    expect(allowed.headers.get('Access-Control-Allow-Methods')).toContain('PATCH');
    expect(allowed.headers.get('Access-Control-Allow-Headers')).toBe('authorization,if-match');
    const list = await fetch(`${server.url}/api/veranstaltungen`, {
      headers: { Origin: 'https://app.example', Authorization: `Bearer ${await server.token()}` },
    });
    expect(list.headers.get('Access-Control-Expose-Headers')).toContain('Change-Feed-Position');
    const refused = await fetch(`${server.url}/api/veranstaltungen`, { headers: { Origin: 'https://app.example' } });
    expect({ status: refused.status, origin: refused.headers.get('Access-Control-Allow-Origin') }).toEqual({
      status: 401,
      origin: 'https://app.example',
    });
    const stream = await server.stream('', { Origin: 'https://app.example' });
    expect(stream.response.headers.get('Access-Control-Allow-Origin')).toBe('https://app.example');
  });

  test('no other may, and none where none is named', async () => {
    expect((await preflight(server.url, 'https://evil.example')).headers.get('Access-Control-Allow-Origin')).toBeNull();
    const closed = await server.another({ corsOrigins: [] });
    expect((await preflight(closed.url, 'https://app.example')).headers.get('Access-Control-Allow-Origin')).toBeNull();
  });
});

test('a person who opens the address sees what is where', async () => {
  const index = await fetch(server.url);
  expect(Object.keys(((await index.json()) as { endpoints: object }).endpoints)).toContain(
    'GET /api/events?resources=*',
  );
});
