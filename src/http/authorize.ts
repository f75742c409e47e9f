import type { Logger } from '../logger.js';
import type { Caller } from './caller.js';
import type { Claims } from './claims.js';

/**
 * Decides whether the bearer of these claims may receive a resource, and over REST read and write it. The server asks
 * when a stream opens, resumes or subscribes, for each resource that a stream on `*` would receive, and for each REST
 * request. A stream remembers the answers until it ends.
 *
 * The answer comes at once, not as a promise: it is needed between two events. Put lookups into the authentication before
 * it, which may add to the claims. An exception counts as no, and is logged.
 */
export type Authorize = (claims: Claims, resource: string) => boolean;

/** Authorizes by the claim `resources`, names or `*`; without it by `defaults` (DEFAULT_RESOURCES). */
export function authorizeByClaims(defaults: '*' | readonly string[]): Authorize {
  return (claims, resource) => {
    const allowed = claims.resources ?? defaults;
    // No includes() on a text: 'film_actor' would allow 'actor'.
    return [allowed].flat().some((name) => name === '*' || name === resource);
  };
}

/**
 * Makes every answer but true a no. A promise is truthy, so an `async` function would allow everything: that is a no, too,
 * and is logged.
 */
export function failingClosed(authorize: Caller['authorize'], logger: Logger): Caller['authorize'] {
  return (resource) => {
    try {
      const answer: unknown = authorize(resource);
      if (typeof answer === 'boolean') return answer;
      logger.error({ resource }, `authorize: expected true or false, got ${typeof answer}; refused`);
      if (answer instanceof Promise) answer.catch(() => {});
    } catch (error) {
      logger.error({ err: error, resource }, 'authorize failed; refused');
    }
    return false;
  };
}

/** Makes a caller of claims. @param toleranceS the time for which a token is accepted after its end, in seconds. */
export function callerOfClaims(claims: Claims, authorize: Authorize, toleranceS: number): Caller {
  return {
    subject: claims.sub,
    authorize: (resource) => authorize(claims, resource),
    // The same moment from which a new request with this token is refused.
    ...(claims.exp !== undefined && { expiresAt: (claims.exp + toleranceS) * 1000 }),
  };
}
