import { z } from 'zod';
import { parseTopic } from '../scope.js';
import { HttpError } from './http-error.js';

/** The largest number of topics in a token: they are searched for each resource of each stream. */
const MAX_RESOURCES = 1000;
const SUBJECT = 'expected text of 1 to 200 characters, without NUL and lone surrogates';
const RESOURCES = `expected * or a list of at most ${MAX_RESOURCES} names, each alone or with a scope such as ?tenant_id=7`;

/** `*`, or a list of resources and scopes. */
const topics = z
  .custom<'*' | readonly string[]>(
    (value) => value === '*' || (Array.isArray(value) && value.length <= MAX_RESOURCES && value.every(isTopic)),
    RESOURCES,
  )
  .transform((value) => (value.includes('*') ? '*' : value));

/** The owner of streams, and the actor of writes. Without an owner, anybody could subscribe a stream. */
export const subjectText = z
  .string(SUBJECT)
  .min(1, SUBJECT)
  .max(200, SUBJECT)
  // Postgres accepts neither: each write of such a subject, and each call to another server, would fail.
  .refine((subject) => !/[\0\p{Cs}]/u.test(subject), SUBJECT);

const claims = z.object({
  /** The subject of the token. */
  sub: subjectText,
  /** The end of the token, in seconds since 1970. */
  exp: z.number('expected seconds since 1970').optional(),
  /** The topics that it may receive, and over REST read and write: `*` for all, names, or names with a scope. */
  resources: topics.optional(),
  /** True for who may use the monitor. */
  monitor: z.boolean('expected true or false').optional(),
});

/** The claims of a token that {@link parseClaims} has checked, and all others that it has. */
export type Claims = z.output<typeof claims> & { readonly [claim: string]: unknown };

/**
 * Checks the claims that the feed needs. Then `sub` is text, `exp` a number or absent, and `resources` is `*`, a list of
 * names and scopes, or absent. A list with `*` in it becomes `*`. All other claims stay as they are.
 * @param given the claims of a token whose signature is valid.
 * @throws {HttpError} unauthorized where a claim is missing or malformed, with its name and what was expected.
 */
export function parseClaims(given: unknown): Claims {
  const result = claims.safeParse(given);
  // By spread, which makes an own field even of __proto__.
  if (result.success) return { ...(given as object), ...result.data };
  const [issue] = result.error.issues;
  throw new HttpError('unauthorized', messageOf(issue?.path[0], issue?.message), { 'WWW-Authenticate': 'Bearer' });
}

/** Returns whether a value is the text of a topic. */
export function isTopic(value: unknown): value is string {
  if (typeof value !== 'string') return false;
  try {
    parseTopic(value);
    return true;
  } catch {
    return false;
  }
}

function messageOf(claim: PropertyKey | undefined, expected: string | undefined): string {
  if (claim === undefined) return 'The token has no claims';
  const name = String(claim);
  return claim === 'sub' ? `The token has no sub: ${expected}` : `The token has a malformed claim ${name}: ${expected}`;
}
