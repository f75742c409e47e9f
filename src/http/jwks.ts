import { createRemoteJWKSet, customFetch, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { FailureLog } from '../feed/failure-log.js';
import type { Logger } from '../logger.js';
import { HttpError } from './http-error.js';

/** The accepted algorithms of public keys. No HS256: a public key must never count as a secret. */
const ALGORITHMS = ['RS256', 'ES256', 'EdDSA'];

/** The time for which fetched keys are used, in ms: a withdrawn key is accepted no longer. */
const CACHE_MS = 10 * 60_000;
/** The time after a fetch in which a token with an unknown key causes no other, in ms: anybody can name unknown keys. */
const COOLDOWN_MS = 30_000;
/** The same after a fetch that failed, in ms. */
const FAILED_COOLDOWN_MS = 2000;
/** The time that a fetch may take, in ms. */
const FETCH_MS = 5000;

const FETCH_FAILED = 'the keys of JWKS_URL could not be fetched';

/** The errors of jose that mean "the token is not valid"; any other is a fault of the server of the keys. */
const TOKEN_FAULTS = [errors.JWKSNoMatchingKey, errors.JWKSMultipleMatchingKeys, errors.JOSENotSupported];

/** Options of {@link jwksVerifier}. */
export interface JwksOptions {
  /** JWKS_URL: the address of the keys, a JSON Web Key Set (RFC 7517). */
  readonly url: string;
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
  /** The time for which a token is accepted after its end, in seconds. */
  readonly toleranceS: number;
  readonly logger: Logger;
}

/**
 * Makes a check of tokens against the keys of JWKS_URL. It fetches the keys now, and when they are ten minutes old. A
 * token with an unknown key (a rotated one) causes a fetch, too, every 30 s at the most.
 * @returns a function that resolves with the claims. It throws a JOSEError when the token isn't valid. When the
 * keys can't be fetched it throws an {@link HttpError} unavailable, so that an outage logs nobody out.
 */
export function jwksVerifier(options: JwksOptions): (token: string) => Promise<JWTPayload> {
  const { url, issuer, audience, toleranceS, logger } = options;
  if (!audience) {
    logger.warn(
      'JWKS_URL without JWT_AUDIENCE: tokens that its identity provider signed for other applications are accepted',
    );
  }
  const failures = new FailureLog(logger);
  let failedAt = Number.NEGATIVE_INFINITY;
  let fetchedAt = Number.NEGATIVE_INFINITY;
  const keys = createRemoteJWKSet(new URL(url), {
    timeoutDuration: FETCH_MS,
    // jose would count both by the wall clock: set back by an hour, it would accept a withdrawn key for an hour more.
    cooldownDuration: Number.POSITIVE_INFINITY,
    cacheMaxAge: Number.POSITIVE_INFINITY,
    [customFetch]: async (address, init) => {
      // jose's own cooldown begins with a success: while the keys can't be fetched, each request would ask for them.
      if (performance.now() - failedAt < FAILED_COOLDOWN_MS) throw new Error('tried just now');
      try {
        const response = await fetch(address, init);
        if (response.status !== 200) throw new Error(`the answer is ${response.status}`);
        failures.succeeded(FETCH_FAILED);
        return response;
      } catch (error) {
        failedAt = performance.now();
        failures.failed(FETCH_FAILED, error);
        throw error;
      }
    },
  });
  const fetchKeys = async () => {
    await keys.reload();
    fetchedAt = performance.now();
  };
  const ageMs = () => performance.now() - fetchedAt;
  fetchKeys().catch(() => {}); // the log has it, and the first token asks again

  const keyOf: JWTVerifyGetKey = async (header, token) => {
    try {
      if (ageMs() >= CACHE_MS) await fetchKeys();
      try {
        return await keys(header, token);
      } catch (error) {
        // A rotated key
        if (!(error instanceof errors.JWKSNoMatchingKey) || ageMs() < COOLDOWN_MS) throw error;
        await fetchKeys();
        return await keys(header, token);
      }
    } catch (error) {
      if (TOKEN_FAULTS.some((fault) => error instanceof fault)) throw error;
      throw new HttpError('unavailable', 'Tokens cannot be checked at the moment', { 'Retry-After': '5' });
    }
  };
  return async (token) => {
    const { payload } = await jwtVerify(token, keyOf, {
      algorithms: ALGORITHMS,
      clockTolerance: toleranceS,
      ...(issuer && { issuer }),
      ...(audience && { audience }),
    });
    return payload;
  };
}
