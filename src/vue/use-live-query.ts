import {
  type DefaultError,
  type QueryKey,
  type UseQueryOptions,
  type UseQueryReturnType,
  useQuery,
} from '@tanstack/vue-query';
import type { MaybeRefOrGetter } from 'vue';
import { type UseSSEOptions, useSSE } from './use-sse.js';

/**
 * A query of TanStack Vue Query that is fetched again when a resource changes: `useQuery` in one line with the feed.
 *
 * @param resource what its data comes from.
 * @param queryOptions what `useQuery` takes.
 * @throws {Error} outside of setup() and of an effect scope.
 *
 * @example
 * const { data } = useLiveQuery('veranstaltung', { queryKey: ['veranstaltungen'], queryFn: fetchVeranstaltungen });
 */
export function useLiveQuery<Data = unknown, Problem = DefaultError, Selected = Data, Key extends QueryKey = QueryKey>(
  resource: MaybeRefOrGetter<string | undefined>,
  queryOptions: UseQueryOptions<Data, Problem, Selected, Data, Key>,
  options: UseSSEOptions = {},
): UseQueryReturnType<Selected, Problem> {
  const query = useQuery<Data, Problem, Selected, Key>(queryOptions);
  // A fetch that is under way may have read before the change: it is cancelled, and begun anew.
  useSSE(resource, () => void query.refetch({ cancelRefetch: true }), options);
  return query;
}
