import {
  type DefaultError,
  type QueryKey,
  type UseQueryOptions,
  type UseQueryReturnType,
  useQuery,
  useQueryClient,
} from '@tanstack/vue-query';
import { computed, toValue } from 'vue';
import { fetchAnew } from '../query/fetch-anew.js';
import type { LiveResources } from '../vue/live-resources.js';
import { type UseSSEOptions, useSSE } from '../vue/use-sse.js';

/**
 * A query of TanStack Vue Query that is fetched again when a resource or scope changes: `useQuery` in one line with the feed.
 * What is cached under a key that is not shown is not followed, so `staleTime` is 0 unless given: it is fetched again when
 * it is shown again.
 *
 * @param resource what its data comes from; several where it comes from several.
 * @param queryOptions what `useQuery` takes.
 * @throws {Error} outside of setup() and of an effect scope, and without a `QueryClient`.
 *
 * @example
 * const { data } = useLiveQuery('veranstaltung', { queryKey: ['veranstaltungen'], queryFn: fetchVeranstaltungen });
 */
export function useLiveQuery<Data = unknown, Problem = DefaultError, Selected = Data, Key extends QueryKey = QueryKey>(
  resource: LiveResources,
  queryOptions: UseQueryOptions<Data, Problem, Selected, Data, Key>,
  options: UseSSEOptions = {},
): UseQueryReturnType<Selected, Problem> {
  const client = useQueryClient();
  const all = computed(() => ({ staleTime: 0, ...toValue(queryOptions) }));
  const query = useQuery<Data, Problem, Selected, Key>(all);
  // The client reads the refs and getters in the key.
  useSSE(resource, () => fetchAnew(client, all.value.queryKey as QueryKey, { exact: true }), options);
  return query;
}
