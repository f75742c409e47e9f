import { bodyParser } from '@koa/bodyparser';
import type { Context, Middleware } from 'koa';
import { HttpError } from '../http/http-error.js';

/** The methods whose body is read. */
const METHODS = ['POST', 'PATCH'];

/**
 * Parses the JSON bodies of POST and PATCH into `ctx.request.body`.
 * @throws {HttpError} in a request: 415 for anything but JSON, 400 for malformed JSON, 413 for a longer one.
 * @param maxKb the longest body that is read, unpacked, in kB.
 */
export function jsonBody(maxKb: number): Middleware {
  const parse = bodyParser({
    enableTypes: ['json'],
    parsedMethods: METHODS,
    jsonLimit: `${maxKb}kb`,
    onError: (error) => {
      const status = 'status' in error ? error.status : 400;
      if (status === 413) throw new HttpError('payload_too_large', `The body has more than ${maxKb} kB`);
      if (status === 415) throw new HttpError('unsupported_media_type', 'The body has an unknown Content-Encoding');
      throw new HttpError('bad_request', 'The body is not a JSON object');
    },
  });
  return (ctx, next) => {
    if (METHODS.includes(ctx.method) && !ctx.is('application/json')) {
      throw new HttpError('unsupported_media_type', 'The body has to be JSON: Content-Type: application/json');
    }
    return parse(ctx as Context, next);
  };
}
