import { bodyParser } from '@koa/bodyparser';
import type { Context, Middleware } from 'koa';
import { HttpError } from '../http-error.js';

/** The longest body that is read. */
const LIMIT = '64kb';

/** Parses JSON bodies into `ctx.request.body`. Anything else in a request that writes is 415, malformed 400, long 413. */
export function jsonBody(): Middleware {
  const parse = bodyParser({
    enableTypes: ['json'],
    jsonLimit: LIMIT,
    onError: (error) => {
      const status = 'status' in error ? error.status : 400;
      if (status === 413) throw new HttpError('payload_too_large', `The body has more than ${LIMIT}`);
      throw new HttpError('bad_request', 'The body is not a JSON object');
    },
  });
  return (ctx, next) => {
    const writes = ['POST', 'PUT', 'PATCH'].includes(ctx.method);
    if (writes && !ctx.is('application/json')) {
      throw new HttpError('unsupported_media_type', 'The body has to be JSON: Content-Type: application/json');
    }
    return parse(ctx as Context, next);
  };
}
