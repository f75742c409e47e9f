import type { Middleware } from 'koa';
import type { Logger } from '../logger.js';

/**
 * Logs each request when its response has ended. It waits for `res`, because `req` closes as soon as the request has been
 * read. The line has no query, which may hold a token.
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
