import { z } from 'zod';
import type { Logger } from '../logger.js';
import type { Rights } from '../streams/rights.js';
import { type Authorize, failingClosed, rightsOfClaims } from './authorize.js';
import { isTopic, parseClaims, subjectText } from './claims.js';
import { HttpError } from './http-error.js';

/** The caller of a request, and its rights. */
export interface Caller {
  /** Names the person or program, in 1 to 200 characters: a stream belongs to the subject that opened it. */
  readonly subject: string;
  /** The topics that the caller may receive: a list, `*`, or a function. Anything but true of a function is a no. */
  readonly rights: Rights;
  /** The end of the caller's rights, in ms since 1970: its streams end then. Absent: never. */
  readonly expiresAt?: number | undefined;
  /** True for who may use the monitor: see all changes' keys, who is connected, and end streams. Default false. */
  readonly monitor?: boolean | undefined;
}

/**
 * Finds the caller of a request, from a session, a cookie, an API key or claims. Nothing: the request is 401. It may throw
 * an {@link HttpError}, which is the answer then.
 */
export type FindCaller<Parameters extends unknown[]> = (...parameters: Parameters) => Found | Promise<Found>;

// biome-ignore lint/suspicious/noConfusingVoidType: a function that returns nothing has found nobody
type Found = Caller | null | undefined | false | void;

/** Options of {@link callerOfClaims}. */
export interface ClaimsOptions {
  /** The rights of a token without the claim `resources`. Default: none. */
  readonly defaultResources?: '*' | readonly string[];
  /** Decides instead of the claim `resources`. */
  readonly authorize?: Authorize | undefined;
  /** The time for which the application accepts a token after its end, in seconds; the stream ends then. Default 0. */
  readonly toleranceS?: number;
}

/**
 * Makes a caller of the claims of a token whose signature the application has checked: `sub` is its subject, `exp` its end,
 * `resources` its rights, and `monitor` whether it may use the monitor.
 * @throws {HttpError} unauthorized where a claim is missing or malformed.
 */
export function callerOfClaims(claims: unknown, options: ClaimsOptions = {}): Caller {
  const { defaultResources = [], authorize, toleranceS = 0 } = options;
  const parsed = parseClaims(claims);
  return {
    subject: parsed.sub,
    rights: rightsOfClaims(parsed, defaultResources, authorize),
    // The same moment from which a new request with this token is refused.
    ...(parsed.exp !== undefined && { expiresAt: (parsed.exp + toleranceS) * 1000 }),
    ...(parsed.monitor && { monitor: true }),
  };
}

/** Makes the error that refuses a caller whose rights were withdrawn while it was looked for, or waited. */
export function revokedError(): HttpError {
  return new HttpError('revoked', 'The rights of this subject were withdrawn');
}

const RIGHTS = 'expected *, a list of topics, or a function';

const caller = z.looseObject({
  subject: subjectText,
  rights: z.custom<Rights>(isRights, RIGHTS),
  expiresAt: z.number('expected ms since 1970').optional(),
  monitor: z.boolean('expected true or false').optional(),
});

/**
 * Checks what the application says of a caller, and makes its rights fail closed.
 * @throws {HttpError} unauthorized without a caller, or where it has no subject or is malformed.
 */
export function requireCaller(given: unknown, logger: Logger): Caller {
  if (!given) throw new HttpError('unauthorized', 'Sign in first');
  const { success, data, error } = caller.safeParse(given);
  if (success) return { ...data, rights: failingClosed(data.rights, logger) };
  const [issue] = error.issues;
  throw new HttpError('unauthorized', `The caller has no valid ${issue?.path.join('.')}: ${issue?.message}`);
}

function isRights(value: unknown): boolean {
  return value === '*' || typeof value === 'function' || (Array.isArray(value) && value.every(isTopic));
}
