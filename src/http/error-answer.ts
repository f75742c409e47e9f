import { ZodError } from 'zod';
import { FailureLog } from '../feed/failure-log.js';
import type { Logger } from '../logger.js';
import { databaseError } from './database-error.js';
import { type Answer, jsonAnswer } from './exchange.js';
import { type ErrorCode, HttpError, STATUS_OF_CODE } from './http-error.js';

/**
 * Makes the answers to errors: `{"error":{"code":"…","message":"…"}}`. An unexpected error is a 500 with a general text,
 * and only the log has the real one. Requests that fail because the database or the identity provider does not answer
 * are counted, not logged one by one.
 */
export class ErrorAnswers {
  readonly #logger: Logger;
  readonly #unavailable: FailureLog;

  constructor(logger: Logger) {
    this.#logger = logger;
    this.#unavailable = new FailureLog(logger);
  }

  /** Makes the answer to an error, and logs what is a fault of the server. @param request for the log. */
  of(error: unknown, request: { readonly method: string; readonly path: string }): Answer {
    const { status, code, message, headers } = httpErrorOf(error);
    const { method, path } = request;
    if (status === 503) this.#unavailable.happened('a request failed', error, { method, path });
    else if (status >= 500) this.#logger.error({ err: error, method, path }, 'a request failed');
    return jsonAnswer({ error: { code, message } }, status, headers);
  }
}

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

/**
 * Reads an error of a framework: an http-error with `status`, whose `expose` says that its text is meant for clients, or one
 * of Fastify with `statusCode`.
 */
function libraryError(error: unknown): HttpError | undefined {
  if (!(error instanceof Error)) return undefined;
  const { status, statusCode } = error as { status?: unknown; statusCode?: unknown };
  const found = [status, statusCode].find((each): each is number => typeof each === 'number');
  if (found === undefined || found < 400 || found >= 500) return undefined;
  const codes = Object.keys(STATUS_OF_CODE) as ErrorCode[];
  const code = codes.find((key) => STATUS_OF_CODE[key] === found) ?? 'bad_request';
  return new HttpError(code, 'expose' in error && error.expose ? error.message : code.replaceAll('_', ' '));
}
