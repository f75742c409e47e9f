import { createSecretKey } from 'node:crypto';
import { decodeProtectedHeader } from 'jose';
import type { Context, Middleware } from 'koa';
import jwt from 'koa-jwt';
import { parseClaims } from '../http/claims.js';
import { HttpError } from '../http/http-error.js';
import { jwksVerifier } from '../http/jwks.js';
import { parametersOf } from '../http/parameters.js';
import type { Logger } from '../logger.js';

/** The keys that tokens are checked with: one of the two. */
export interface TokenKeys {
  /** The HS256 key. */
  readonly secret?: string | undefined;
  /** The URL of an identity provider's public keys: see {@link jwksVerifier}. */
  readonly jwksUrl?: string | undefined;
}

/** Options of {@link authenticate}. */
export interface AuthOptions extends TokenKeys {
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
  /** The time for which a token is accepted after its end, in seconds. */
  readonly toleranceS: number;
  /** Lets a GET bring its token as `?token=`. */
  readonly queryToken: boolean;
  readonly logger: Logger;
}

/**
 * Lets a request pass that brings a valid JWT with the claims of {@link parseClaims}, which are then `ctx.state.claims`.
 * It reads `Authorization: Bearer` before `?token=`. Other requests are 401, or 503 where the keys can't be fetched. The
 * kind of key decides the algorithms, so that neither `alg: none` nor a public key used as an HMAC secret is accepted.
 * @throws {TypeError} unless there is a secret or the address of keys, and not both.
 */
export function authenticate(options: AuthOptions): Middleware {
  if (Boolean(options.secret) === Boolean(options.jwksUrl)) {
    throw new TypeError('Expected either a secret or the address of keys');
  }
  const verify = options.secret ? withSecret(options.secret, options) : withPublicKeys(options.jwksUrl ?? '', options);
  return async (ctx, next) => {
    try {
      await verify(ctx, async () => {});
    } catch (error) {
      if (error instanceof HttpError) throw error;
      throw unauthorized(reasonOf(error, tokenOf(ctx, options.queryToken) !== null));
    }
    ctx.state.claims = parseClaims(ctx.state.claims);
    await next();
  };
}

function withSecret(secret: string, { issuer, audience, toleranceS, queryToken }: AuthOptions): Middleware {
  const key = createSecretKey(secret, 'utf8');
  // koa-jwt passes its options on to jsonwebtoken, which has more than its types say.
  const options: jwt.Options & { clockTolerance: number } = {
    // A text jsonwebtoken would first try to read as a public key, for each request: a seventh of what a storm of streams cost.
    secret: key as unknown as Buffer,
    algorithms: ['HS256'],
    clockTolerance: toleranceS,
    ...(issuer && { issuer }),
    ...(audience && { audience }),
    getToken: (ctx) => tokenOf(ctx as Context, queryToken),
    key: 'claims',
  };
  const check = jwt(options);
  return async (ctx, next) => {
    await check(ctx, next);
    // RFC 7515, 4.1.11: an extension that is critical and not understood makes it invalid. jsonwebtoken passes over it.
    if ('crit' in decodeProtectedHeader(tokenOf(ctx, queryToken) ?? '')) throw new Error('A critical extension');
  };
}

/** Checks with jose, because the jsonwebtoken of koa-jwt knows no EdDSA. */
function withPublicKeys(url: string, options: AuthOptions): Middleware {
  const verify = jwksVerifier({ ...options, url });
  return async (ctx, next) => {
    ctx.state.claims = await verify(tokenOf(ctx, options.queryToken) ?? '');
    return next();
  };
}

/** Reads the token of `Authorization: Bearer`, else of the query where that is allowed; null where there is none. */
function tokenOf(ctx: Context, queryToken: boolean): string | null {
  // Another scheme is no token: a browser sends a proxy's Basic password along with every EventSource.
  const bearer = /^bearer(?: +(.*))?$/i.exec(ctx.get('Authorization'));
  if (bearer) return bearer[1] || null;
  if (!queryToken || ctx.method !== 'GET') return null;
  return [parametersOf(ctx.querystring).token ?? []].flat().at(-1) || null;
}

function unauthorized(message: string): HttpError {
  return new HttpError('unauthorized', message, { 'WWW-Authenticate': 'Bearer' });
}

/** Explains an error of koa-jwt, which wraps its cause, or of jose. */
function reasonOf(error: unknown, sent: boolean): string {
  const cause = error instanceof Error && 'originalError' in error ? error.originalError : error;
  const expired = cause instanceof Error && (cause.name === 'TokenExpiredError' || cause.name === 'JWTExpired');
  if (expired) return 'The token has expired';
  return sent ? 'The token is not valid' : 'A token is missing: send Authorization: Bearer';
}
