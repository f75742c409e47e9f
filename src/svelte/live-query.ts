import { onDestroy } from 'svelte';
import type { Readable } from 'svelte/store';
import { isBrowser } from '../client/page.js';
import { type BindOptions, bindQueryClient, type FollowedQueries } from '../query/bind-query-client.js';
import type { QueryCacheOwner } from '../query/query-cache-owner.js';
import { isStore } from './is-store.js';

/**
 * Fetches queries of TanStack Query again when their resources change, until the component is destroyed:
 * {@link bindQueryClient} for a component. It takes the `QueryClient`, so it needs no particular version of
 * `@tanstack/svelte-query`.
 *
 * @param queries a store where they change.
 * @throws {Error} outside of a component's initialisation.
 * @throws {TypeError} for what is no scope.
 *
 * @example
 * liveQuery(useQueryClient(), { veranstaltung: ['veranstaltungen'] });
 */
export function liveQuery(
  queryClient: QueryCacheOwner,
  queries: FollowedQueries | Readable<FollowedQueries>,
  options: BindOptions = {},
): void {
  let end = () => {};
  let unsubscribe = () => {};
  // First, because it throws outside of a component, where nothing would ever end.
  onDestroy(() => {
    unsubscribe();
    end();
  });
  const bind = (now: FollowedQueries) => {
    const before = end;
    // The new ones first: the stream is not left unused in between.
    end = bindQueryClient(queryClient, now, options);
    before();
  };
  // A server that renders the page has nobody to tell.
  if (!isBrowser()) return;
  if (isStore(queries)) unsubscribe = queries.subscribe(bind);
  else bind(queries);
}
