import { describe, expect, test } from '@jest/globals';
import { useTestServer } from '../running-server.js';

const server = useTestServer({ corsOrigins: ['https://app.example'] });

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

test('a person who opens the address gets the web UI; what it is made of may be kept for ever', async () => {
  const index = await fetch(server.url);
  const html = await index.text();
  expect(html).toContain('<title>Veranstaltungen</title>');
  expect(index.headers.get('Cache-Control')).toBe('no-cache');
  const [script = ''] = /assets\/[\w-]+\.js/.exec(html) ?? [];
  const asset = await fetch(`${server.url}/${script}`);
  expect(asset.headers.get('Content-Type')).toMatch('javascript');
  expect(asset.headers.get('Cache-Control')).toBe('max-age=31536000,immutable');
  for (const path of ['/assets/none.js', '/assets/..%2findex.html', '/assets/%2e%2e%2f%2e%2e%2fpackage.json', '/x']) {
    const missing = await fetch(`${server.url}${path}`);
    expect([path, missing.status, await missing.json()]).toEqual([
      path,
      404,
      { error: { code: 'not_found', message: expect.any(String) } },
    ]);
  }
});

test('the demo signs in where there is one, and only there', async () => {
  expect((await fetch(`${server.url}/api/demo/token`, { method: 'POST' })).status).toBe(401);
  expect(await (await fetch(`${server.url}/api/demo`)).json()).toEqual({ demo: false });
  const demo = await server.another({ demoToken: () => server.token({ sub: 'demo' }) });
  const response = await fetch(`${demo.url}/api/demo/token`, { method: 'POST' });
  const { token } = (await response.json()) as { token: string };
  const list = await fetch(`${demo.url}/api/veranstaltungen`, { headers: { Authorization: `Bearer ${token}` } });
  expect(list.status).toBe(200);
});
