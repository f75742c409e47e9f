import { expect, test } from '@jest/globals';
import { useTestServer } from '../running-server.js';

// The headers with which every answer restricts a browser.

const server = useTestServer();

test.each(['/', '/healthz', '/nichts', '/api/anmeldungen', '/api/events'])('%s', async (path) => {
  const token = await server.token();
  for (const authorization of [`Bearer ${token}`, '']) {
    const { headers, body } = await fetch(server.url + path, { headers: { Authorization: authorization } });
    await body?.cancel();
    const policy = headers.get('Content-Security-Policy')?.split(';');
    expect(policy).toEqual(
      expect.arrayContaining(["default-src 'self'", "object-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"]),
    );
    // No page of ours needs an inline script or style, or eval
    expect(headers.get('Content-Security-Policy')).not.toMatch(/unsafe|\*|https?:/);
    expect(headers.get('X-Content-Type-Options')).toBe('nosniff');
    expect(headers.get('X-Frame-Options')).toBe('DENY');
    expect(headers.get('Referrer-Policy')).toBe('no-referrer');
    expect(headers.get('Cross-Origin-Opener-Policy')).toBe('same-origin');
    expect(headers.get('X-Powered-By')).toBeNull();
    // Over plain HTTP: the proxy that ends TLS sets that
    expect(headers.get('Strict-Transport-Security')).toBeNull();
    expect(headers.get('Access-Control-Allow-Origin')).toBeNull();
  }
});
