import type { Context, Middleware } from 'koa';
import { ErrorAnswers } from '../http/error-answer.js';
import { HttpError } from '../http/http-error.js';
import type { Logger } from '../logger.js';
import { setAnswer } from './koa-exchange.js';

/** Answers every failure as {@link ErrorAnswers} does; mount it right behind the request log. */
export function errorResponses(logger: Logger): Middleware {
  const answers = new ErrorAnswers(logger);
  return async (ctx, next) => {
    try {
      await next();
      if (ctx.respond !== false && ctx.body == null) refuseUnserved(ctx);
    } catch (error) {
      if (ctx.headerSent) throw error;
      ctx.respond = true;
      setAnswer(ctx, answers.of(error, ctx));
    }
  };
}

/**
 * Refuses a request that no route has answered. The router's allowedMethods() has set 405, or 501 for a method that no
 * route knows. `Allow` is then empty where there is no such path either.
 */
function refuseUnserved(ctx: Context): void {
  const { status, method, path } = ctx;
  if (status === 404 || (status === 501 && !ctx.response.get('Allow'))) {
    ctx.remove('Allow');
    throw new HttpError('not_found', `There is nothing at ${path}`);
  }
  if (status === 405 || status === 501) throw new HttpError('method_not_allowed', `${path} does not take ${method}`);
}
