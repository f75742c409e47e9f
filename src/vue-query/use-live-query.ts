import {
  type DefaultError,
  type QueryKey,
  type UseQueryOptions,
  type UseQueryReturnType,
  useQuery,
} from '@tanstack/vue-query';
import type { MaybeRefOrGetter } from 'vue';
import type { ResourceNames } from '../client/following.js';
import { type UseSSEOptions, useSSE } from '../vue/use-sse.js';

/**
 * A query of TanStack Vue Query that is fetched again when a resource changes: `useQuery` in one line with the feed.
 * What is cached under a key that is not shown is not followed, so `staleTime` is 0 unless given: it is fetched again when
 * it is shown again.
 *
 * @param resource what its data comes from; several where it comes from several.
 * @param queryOptions what `useQuery` takes.
 * @throws {Error} outside of setup() and of an effect scope.
 *
 * @example
 * const { data } = useLiveQuery('veranstaltung', { queryKey: ['veranstaltungen'], queryFn: fetchVeranstaltungen });
 */
export function useLiveQuery<Data = unknown, Problem = DefaultError, Selected = Data, Key extends QueryKey = QueryKey>(
  resource: MaybeRefOrGetter<ResourceNames>,
  queryOptions: UseQueryOptions<Data, Problem, Selected, Data, Key>,
  options: UseSSEOptions = {},
): UseQueryReturnType<Selected, Problem> {
  const query = useQuery<Data, Problem, Selected, Key>({ staleTime: 0, ...queryOptions });
  let waiting = false;

  /** Fetches what is there now: a fetch that is under way may have read before the change. */
  async function fetchAnew(): Promise<void> {
    if (!query.isEnabled.value || waiting) return;
    // Of a key without data refetch() does not begin anew, but waits for the fetch that is under way.
    if (query.isFetching.value && (query.isPending.value || query.isPlaceholderData.value)) {
      waiting = true;
      await query.refetch();
      waiting = false;
    }
    await query.refetch({ cancelRefetch: true });
  }

  useSSE(resource, () => void fetchAnew(), options);
  return query;
}
