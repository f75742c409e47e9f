import { type QueryKey, useQueryClient } from '@tanstack/vue-query';

/**
 * Fetches a query anew, whatever is under way: a fetch that waits for its next try, for one, or that may have read before
 * a write. Of a query without data `refetch()` would only wait for it. For setup().
 */
export function useFetchNow(): (queryKey: QueryKey) => Promise<void> {
  const client = useQueryClient();
  return async (queryKey) => {
    await client.cancelQueries({ queryKey, exact: true });
    await client.refetchQueries({ queryKey, exact: true });
  };
}
