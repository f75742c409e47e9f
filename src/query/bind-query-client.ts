import type { Change } from '../change.js';
import { type FollowedResource, Following } from '../client/following.js';
import type { SSEService } from '../client/sse-service.js';
import { fetchAnew } from './fetch-anew.js';
import type { QueryCacheOwner, QueryKey } from './query-cache-owner.js';

/** The key that the queries of a resource begin with, or a function that gives the keys of those that a change concerns. */
export type QueriesOfChange = QueryKey | ((change: Change) => readonly QueryKey[]);

/**
 * Maps resources to the queries that show them, by their name, `*`, or the text of a scope. Where a scope is an object, use a list
 * of pairs:
 * `[[{ resource: 'anmeldung', scope: { veranstaltung_id: 7 } }, ['anmeldungen', 7]]]`.
 */
export type FollowedQueries = Readonly<Record<string, QueriesOfChange>> | FollowedPairs;

type FollowedPairs = readonly (readonly [resource: FollowedResource, queries: QueriesOfChange])[];

/** Options of {@link bindQueryClient}. Undefined means the default. */
export interface BindOptions {
  /** Default: the page's own `sseService`. */
  readonly service?: SSEService | undefined;
  /** True skips changes that this page made itself. Default false. */
  readonly ignoreOwn?: boolean | undefined;
  /** The queries of a resource are fetched at most once in this time, in ms. Default 250; 0: for each change. */
  readonly burstMs?: number | undefined;
  /**
   * The position of the data in the cache: `Change-Feed-Position` of the answer that it came from. Without it
   * everything is fetched once more with the first connection.
   */
  readonly since?: string | null | undefined;
}

/**
 * Fetches queries again when the resources that they show change. Those that are not shown are marked as stale, and are
 * fetched when they are shown again. A fetch that is under way begins anew, because it may have read before the change.
 *
 * @returns a function that ends it.
 * @throws {TypeError} for what is no scope.
 *
 * @example
 * bindQueryClient(queryClient, {
 *   veranstaltung: ['veranstaltungen'],
 *   anmeldung: ({ keys = [] }) => [['anmeldungen'], ...keys.map((id) => ['anmeldung', id])],
 * });
 */
export function bindQueryClient(
  queryClient: QueryCacheOwner,
  queries: FollowedQueries,
  options: BindOptions = {},
): () => void {
  const pairs = Array.isArray(queries) ? (queries as FollowedPairs) : Object.entries(queries);
  const followings = pairs.map(([resource, keys]) => {
    const following = new Following((change) => {
      for (const queryKey of typeof keys === 'function' ? keys(change) : [keys]) fetchAnew(queryClient, queryKey);
    }, options);
    following.set(resource);
    return following;
  });
  return () => {
    for (const following of followings) following.end();
  };
}
