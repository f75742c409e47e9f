import { z } from 'zod';
import { HttpError } from './http-error.js';

/** More names in a token are no list to look through for each resource of each stream. */
const MAX_RESOURCES = 1000;
const SUB = 'expected text of 1 to 200 characters, without NUL and lone surrogates';
const RESOURCES = `expected * or a list of at most ${MAX_RESOURCES} names`;

const claims = z.object({
  /** Who the token is for: their streams are theirs alone, and writes name them as the actor. 1 to 200 characters. */
  sub: z
    .string(SUB)
    .min(1, SUB)
    .max(200, SUB)
    // Postgres takes neither: each write of theirs, and each call to another server, would fail.
    .refine((sub) => !/[\0\p{Cs}]/u.test(sub), SUB),
  /** When it ends, in seconds since 1970. */
  exp: z.number('expected seconds since 1970').optional(),
  /** What it may read, and over REST write: `*` for everything, or names. */
  resources: z
    .custom<'*' | readonly string[]>(
      (value) =>
        value === '*' ||
        (Array.isArray(value) && value.length <= MAX_RESOURCES && value.every((name) => typeof name === 'string')),
      RESOURCES,
    )
    .transform((value) => (value.includes('*') ? '*' : value))
    .optional(),
});

/** The claims of a token that {@link parseClaims} has looked at, and all others that it has. */
export type Claims = z.output<typeof claims> & { readonly [claim: string]: unknown };

/**
 * Reads what the feed needs of a token's claims, at the edge: behind it `sub` is text, `exp` a number or absent, and
 * `resources` is `*`, a list of names, or absent. A list with `*` in it is `*`. All other claims stay as they are.
 * @param given what a signature has vouched for.
 * @throws {HttpError} unauthorized where a claim is missing or malformed, with its name and what was expected.
 */
export function parseClaims(given: unknown): Claims {
  const result = claims.safeParse(given);
  // By spread, which makes an own field even of __proto__.
  if (result.success) return { ...(given as object), ...result.data };
  const [issue] = result.error.issues;
  throw new HttpError('unauthorized', messageOf(issue?.path[0], issue?.message), { 'WWW-Authenticate': 'Bearer' });
}

function messageOf(claim: PropertyKey | undefined, expected: string | undefined): string {
  if (claim === undefined) return 'The token has no claims';
  const name = String(claim);
  return claim === 'sub' ? `The token has no sub: ${expected}` : `The token has a malformed claim ${name}: ${expected}`;
}
