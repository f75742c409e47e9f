import type { Context, Middleware } from 'koa';
import { ZodError } from 'zod';
import { FailureLog } from '../feed/failure-log.js';
import { databaseError } from '../http/database-error.js';
import { type ErrorCode, HttpError, STATUS_OF_CODE } from '../http/http-error.js';
import type { Logger } from '../logger.js';

/**
 * Answers every failure with `{"error":{"code":"…","message":"…"}}`; mount it right behind the request log. An unexpected
 * error is a 500 with a general text, and only the log has the real one. Requests that fail because the database or the
 * identity provider does not answer are counted, not logged one by one.
 */
export function errorResponses(logger: Logger): Middleware {
  const unavailable = new FailureLog(logger);
  return async (ctx, next) => {
    try {
      await next();
      if (ctx.respond !== false && ctx.body == null) refuseUnserved(ctx);
    } catch (error) {
      if (ctx.headerSent) throw error;
      const answer = httpErrorOf(error);
      const { method, path } = ctx;
      if (answer.status === 503) unavailable.happened('a request failed', error, { method, path });
      else if (answer.status >= 500) logger.error({ err: error, method, path }, 'a request failed');
      respond(ctx, answer);
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

function respond(ctx: Context, { status, code, message, headers }: HttpError): void {
  ctx.respond = true;
  ctx.status = status;
  ctx.set({ ...headers, 'Cache-Control': 'no-store' });
  ctx.body = { error: { code, message } };
}

/** Makes the answer to an error. */
function httpErrorOf(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof ZodError) return new HttpError('bad_request', messageOf(error));
  return databaseError(error) ?? libraryError(error) ?? new HttpError('internal', 'Something went wrong on the server');
}

/** Joins the problems with the path of each field: `name: expected a string; beginn: expected a date`. */
function messageOf(error: ZodError): string {
  return error.issues
    .map(({ path, message }) => (path.length > 0 ? `${path.join('.')}: ${message}` : message))
    .join('; ');
}

/** Reads an error of Koa or its body parser, an http-error: `expose` says that its text is meant for clients. */
function libraryError(error: unknown): HttpError | undefined {
  if (!(error instanceof Error) || !('status' in error) || typeof error.status !== 'number') return undefined;
  const { status } = error;
  if (status < 400 || status >= 500) return undefined;
  const codes = Object.keys(STATUS_OF_CODE) as ErrorCode[];
  const code = codes.find((key) => STATUS_OF_CODE[key] === status) ?? 'bad_request';
  return new HttpError(code, 'expose' in error && error.expose ? error.message : code.replaceAll('_', ' '));
}
