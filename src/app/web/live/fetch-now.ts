import { type QueryKey, useQueryClient } from '@tanstack/vue-query';

/**
 * Fetches a query anew, also while another fetch is under way: that one may wait for its next try, or may have read before a
 * write. `refetch()` of a query without data would only wait for it. Call it in setup().
 */
export function useFetchNow(): (queryKey: QueryKey) => Promise<void> {
  const client = useQueryClient();
  return async (queryKey) => {
    await client.cancelQueries({ queryKey, exact: true });
    await client.refetchQueries({ queryKey, exact: true });
  };
}
