import type { Logger } from '../logger.js';
import type { Scope } from '../scope.js';
import type { Rights } from '../streams/rights.js';
import type { Claims } from './claims.js';

/**
 * Decides whether the bearer of these claims may receive a resource, and over REST read and write it. With `scope` it decides
 * on a part of it alone: the rows with these values in these columns. A scope may have more conditions than your rights, so
 * compare the columns that these name: `scope?.mandant_id === claims.mandant`.
 *
 * The server asks when a stream opens, resumes or subscribes, for each resource that a stream on `*` would receive, and for
 * each REST request. A stream remembers the answers until it ends.
 *
 * The answer comes at once, not as a promise: it is needed between two events. Put lookups into the authentication before
 * it, which may add to the claims. An exception counts as no, and is logged.
 */
export type Authorize = (claims: Claims, resource: string, scope?: Scope) => boolean;

/**
 * Makes rights of claims: by `authorize`, where there is one, or else by the claim `resources`.
 * @param defaults the rights of a token without the claim.
 */
export function rightsOfClaims(
  claims: Claims,
  defaults: '*' | readonly string[],
  authorize: Authorize | undefined,
): Rights {
  return authorize ? (resource, scope) => authorize(claims, resource, scope) : (claims.resources ?? defaults);
}

/**
 * Makes every answer but true of a function a no. A promise is truthy, so an `async` function would allow everything: that
 * is a no, too, and is logged. A list stays as it is.
 */
export function failingClosed(rights: Rights, logger: Logger): Rights {
  if (typeof rights !== 'function') return rights;
  return (resource, scope) => {
    try {
      const answer: unknown = rights(resource, scope);
      if (typeof answer === 'boolean') return answer;
      logger.error({ resource }, `authorize: expected true or false, got ${typeof answer}; refused`);
      if (answer instanceof Promise) answer.catch(() => {});
    } catch (error) {
      logger.error({ err: error, resource }, 'authorize failed; refused');
    }
    return false;
  };
}
