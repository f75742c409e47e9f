import type { Caller } from '../koa/stream-routes.js';
import type { Logger } from '../logger.js';
import type { Claims } from './claims.js';

/**
 * Whether the bearer of these claims may hear of a resource, and over REST read and write it. Asked when a stream opens
 * or resumes, when it subscribes, for each resource that a stream on `*` would hear of, and for each REST request. A
 * stream remembers the answers until it ends.
 *
 * At once, not as a promise: the answer is needed between two events. What has to be looked up belongs into the
 * authentication before it, which may add to the claims. Throwing counts as no, and is logged.
 */
export type Authorize = (claims: Claims, resource: string) => boolean;

/** By the claim `resources`, names or `*`; without it by `defaults` (DEFAULT_RESOURCES). */
export function authorizeByClaims(defaults: '*' | readonly string[]): Authorize {
  return (claims, resource) => {
    const allowed = claims.resources ?? defaults;
    // Not includes() on what may be text: 'film_actor' would allow 'actor'.
    return [allowed].flat().some((name) => name === '*' || name === resource);
  };
}

/**
 * Lets only a true pass. A promise is truthy: an `async` one that slipped in would allow everything, so that stands in
 * the log, and is no.
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

/** Who asks, for the stream's routes. @param toleranceS how long a token is taken after its end, in seconds. */
export function callerOfClaims(claims: Claims, authorize: Authorize, toleranceS: number): Caller {
  return {
    subject: claims.sub,
    authorize: (resource) => authorize(claims, resource),
    // The same instant at which a new request with this token is refused.
    ...(claims.exp !== undefined && { expiresAt: (claims.exp + toleranceS) * 1000 }),
  };
}
