import {
  type DefaultError,
  type QueryClient,
  type QueryKey,
  type UseQueryOptions,
  type UseQueryResult,
  useQuery,
  useQueryClient,
} from '@tanstack/react-query';
import type { FollowedResources } from '../client/following.js';
import { fetchAnew } from '../query/fetch-anew.js';
import { type UseSSEOptions, useSSE } from '../react/use-sse.js';

/**
 * A query of TanStack React Query that is fetched again when a resource or scope changes: `useQuery` and the feed in one line.
 * The feed does not follow a key that is in the cache but not shown. So `staleTime` is 0 unless given: the key is fetched
 * again when it is shown again.
 *
 * @param resource a resource or scope that the data comes from, or several.
 * @param queryOptions the options of `useQuery`.
 * @param queryClient default: that of the `QueryClientProvider`.
 * @throws {Error} without a `QueryClient`.
 *
 * @example
 * const { data } = useLiveQuery('veranstaltung', { queryKey: ['veranstaltungen'], queryFn: fetchVeranstaltungen });
 */
export function useLiveQuery<Data = unknown, Problem = DefaultError, Selected = Data, Key extends QueryKey = QueryKey>(
  resource: FollowedResources,
  queryOptions: UseQueryOptions<Data, Problem, Selected, Key>,
  options: UseSSEOptions = {},
  queryClient?: QueryClient | undefined,
): UseQueryResult<Selected, Problem> {
  const client = useQueryClient(queryClient);
  const query = useQuery({ staleTime: 0, ...queryOptions }, client);
  useSSE(resource, () => fetchAnew(client, queryOptions.queryKey, { exact: true }), options);
  return query;
}
