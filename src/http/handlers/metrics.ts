import { createHash, timingSafeEqual } from 'node:crypto';
import type { Registry } from 'prom-client';
import type { Answer } from '../exchange.js';
import { HttpError } from '../http-error.js';

/**
 * Makes the handler of `GET /metrics` for Prometheus. It requires `Authorization: Bearer <token>`, else it is 401: the
 * names of tables and the number of writes are not for everybody.
 * @param token METRICS_TOKEN.
 * @returns a function that takes the request's header `Authorization`.
 */
export function metricsHandler(registry: Registry, token: string): (authorization?: string) => Promise<Answer> {
  const expected = digest(`Bearer ${token}`);
  return async (authorization = '') => {
    // Digests have one length, and the comparison takes the same time wherever they differ.
    if (!timingSafeEqual(digest(authorization), expected)) {
      throw new HttpError('unauthorized', 'Send Authorization: Bearer with the METRICS_TOKEN', {
        'WWW-Authenticate': 'Bearer',
      });
    }
    const headers = { 'Content-Type': registry.contentType, 'Cache-Control': 'no-store' };
    return { status: 200, headers, text: await registry.metrics() };
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
