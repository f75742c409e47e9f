import type { Middleware } from 'koa';
import type { Logger } from '../logger.js';

/**
 * A line for each request when its response has ended. `res` and not `req`, whose `close` comes when the request has
 * been read. Without the query: it may hold a token.
 */
export function requestLog(logger: Logger): Middleware {
  return (ctx, next) => {
    const begun = performance.now();
    const { method, path } = ctx;
    ctx.res.once('close', () => {
      const ms = Math.round(performance.now() - begun);
      logger.debug({ method, path, status: ctx.res.statusCode, ms }, 'request');
    });
    return next();
  };
}
