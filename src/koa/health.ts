import Router from '@koa/router';
import type { ChangeFeed } from '../feed/change-feed.js';

/**
 * Makes two routes that need no token. `GET /healthz`: the process answers. `GET /readyz`: it can read the log and receives
 * notifications, else 503 with the missing one in the body.
 */
export function healthRoutes(feed: ChangeFeed): Router {
  const router = new Router({ sensitive: true });
  router.get('/healthz', (ctx) => {
    ctx.body = { status: 'ok' };
  });
  router.get('/readyz', (ctx) => {
    const { database, listener } = feed.health;
    const ready = database && listener;
    ctx.status = ready ? 200 : 503;
    ctx.body = { status: ready ? 'ok' : 'unavailable', database, listener };
  });
  router.use((ctx, next) => {
    ctx.set('Cache-Control', 'no-store');
    return next();
  });
  return router;
}
