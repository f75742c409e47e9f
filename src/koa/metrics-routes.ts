import { createHash, timingSafeEqual } from 'node:crypto';
import Router from '@koa/router';
import type { Registry } from 'prom-client';
import { HttpError } from '../http/http-error.js';

/**
 * Makes the route `GET /metrics` for Prometheus. It requires `Authorization: Bearer <token>`, else it is 401: the names of
 * tables and the number of writes are not for everybody.
 * @param token METRICS_TOKEN.
 */
export function metricsRoutes(registry: Registry, token: string): Router {
  const expected = digest(`Bearer ${token}`);
  const router = new Router({ sensitive: true });
  router.get('/metrics', async (ctx) => {
    // Digests have one length, and the comparison takes the same time wherever they differ.
    if (!timingSafeEqual(digest(ctx.get('Authorization')), expected)) {
      throw new HttpError('unauthorized', 'Send Authorization: Bearer with the METRICS_TOKEN', {
        'WWW-Authenticate': 'Bearer',
      });
    }
    ctx.set({ 'Content-Type': registry.contentType, 'Cache-Control': 'no-store' });
    ctx.body = await registry.metrics();
  });
  return router;
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
