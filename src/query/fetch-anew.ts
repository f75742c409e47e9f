import type { QueryCacheOwner, QueryKey } from './query-cache-owner.js';

/** First fetches that are followed by another already. */
const followed = new WeakSet<Promise<unknown>>();

/**
 * Fetches the queries of a key again: now where they are shown, else when they are shown. A fetch that is under way is begun
 * anew, because it may have read before the change.
 * @param exact only the query with this very key, not those whose keys begin with it. Default false.
 */
export function fetchAnew(queryClient: QueryCacheOwner, queryKey: QueryKey, { exact = false } = {}): void {
  // TanStack Query does not begin a first fetch anew, so another follows it.
  for (const query of queryClient.getQueryCache().findAll({ queryKey, exact })) {
    const { data, fetchStatus } = query.state;
    if (fetchStatus !== 'fetching' || data !== undefined || !query.promise || followed.has(query.promise)) continue;
    followed.add(query.promise);
    const again = () => invalidate(queryClient, query.queryKey, true);
    query.promise.then(again, again);
  }
  invalidate(queryClient, queryKey, exact);
}

/** Marks queries as stale. A fetch that fails shows in its query. */
function invalidate(queryClient: QueryCacheOwner, queryKey: QueryKey, exact: boolean): void {
  queryClient.invalidateQueries({ queryKey, exact }).catch(() => {});
}
