import type { Change } from '../change.js';
import { Following } from '../client/following.js';
import type { SSEService } from '../client/sse-service.js';

/** The key of a query of TanStack Query. */
type QueryKey = readonly unknown[];

/** What is used of a `QueryClient`: that of `@tanstack/react-query`, `-vue-query`, `-svelte-query` or `-solid-query`. */
export interface QueryCacheOwner {
  invalidateQueries(filters: { queryKey: QueryKey; exact?: boolean }): Promise<unknown>;
  getQueryCache(): {
    findAll(filters: { queryKey: QueryKey }): readonly {
      readonly queryKey: QueryKey;
      readonly state: { readonly data: unknown; readonly fetchStatus: string };
      readonly promise?: Promise<unknown> | undefined;
    }[];
  };
}

/**
 * Which queries show which resource: for its name (or `*`) the key that theirs begin with, or a function that gives the
 * keys of those that a change concerns.
 */
export type FollowedQueries = Readonly<Record<string, QueryKey | ((change: Change) => readonly QueryKey[])>>;

/** What {@link bindQueryClient} takes. Undefined stands for the default. */
export interface BindOptions {
  /** Default: the page's own `sseService`. */
  readonly service?: SSEService | undefined;
  /** Whether changes that this page made itself are passed over. Default false. */
  readonly ignoreOwn?: boolean | undefined;
  /** The queries of a resource are fetched at most once in this time, in ms. Default 250; 0: for each change. */
  readonly burstMs?: number | undefined;
  /**
   * Up to where the data that is in the cache is known: `Change-Feed-Position` of the answer that it came from. Without it
   * everything is fetched once more with the first connection.
   */
  readonly since?: string | null | undefined;
}

/**
 * Fetches queries again when the resources that they show change. Those that are not shown are marked as stale, and are
 * fetched when they are shown again. A fetch that is under way is begun anew, for it may have read before the change.
 *
 * @returns how to end that.
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
  const followings = Object.entries(queries).map(([resource, keys]) => {
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

function fetchAnew(queryClient: QueryCacheOwner, queryKey: QueryKey): void {
  // A first fetch is not begun anew by TanStack Query: what it reads may be older than the change.
  for (const query of queryClient.getQueryCache().findAll({ queryKey })) {
    const { data, fetchStatus } = query.state;
    if (fetchStatus !== 'fetching' || data !== undefined) continue;
    const again = () => void invalidate(queryClient, query.queryKey, true);
    query.promise?.then(again, again);
  }
  void invalidate(queryClient, queryKey, false);
}

/** A fetch that fails shows in its query. */
function invalidate(queryClient: QueryCacheOwner, queryKey: QueryKey, exact: boolean): Promise<unknown> {
  return queryClient.invalidateQueries({ queryKey, exact }).catch(() => {});
}
