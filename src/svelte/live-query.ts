import { onDestroy } from 'svelte';
import { type BindOptions, bindQueryClient, type FollowedQueries } from '../query/bind-query-client.js';
import type { QueryCacheOwner } from '../query/query-cache-owner.js';

/**
 * Fetches queries of TanStack Query again when their resources change, until the component is destroyed:
 * {@link bindQueryClient} for a component. It takes the `QueryClient`, so it needs no particular version of
 * `@tanstack/svelte-query`.
 *
 * @throws {Error} outside of a component's initialisation.
 *
 * @example
 * liveQuery(useQueryClient(), { veranstaltung: ['veranstaltungen'] });
 */
export function liveQuery(queryClient: QueryCacheOwner, queries: FollowedQueries, options: BindOptions = {}): void {
  let end = () => {};
  // First, because it throws outside of a component, where nothing would ever end.
  onDestroy(() => end());
  end = bindQueryClient(queryClient, queries, options);
}
