import Router from '@koa/router';
import type { ChangeFeed } from '../feed/change-feed.js';
import { healthAnswer, readinessAnswer } from '../http/handlers/health.js';
import { setAnswer } from './koa-exchange.js';

/** Makes the routes `GET /healthz` and `GET /readyz`, which need no token. */
export function healthRoutes(feed: ChangeFeed): Router {
  const router = new Router({ sensitive: true });
  router.get('/healthz', (ctx) => setAnswer(ctx, healthAnswer()));
  router.get('/readyz', (ctx) => setAnswer(ctx, readinessAnswer(feed)));
  return router;
}
