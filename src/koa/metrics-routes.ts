import Router from '@koa/router';
import type { Registry } from 'prom-client';
import { metricsHandler } from '../http/handlers/metrics.js';
import { setAnswer } from './koa-exchange.js';

/** Makes the route `GET /metrics` for Prometheus. @param token METRICS_TOKEN: see {@link metricsHandler}. */
export function metricsRoutes(registry: Registry, token: string): Router {
  const answer = metricsHandler(registry, token);
  const router = new Router({ sensitive: true });
  router.get('/metrics', async (ctx) => setAnswer(ctx, await answer(ctx.get('Authorization'))));
  return router;
}
