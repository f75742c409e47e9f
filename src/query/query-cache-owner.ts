/** The key of a query of TanStack Query. */
export type QueryKey = readonly unknown[];

/** The part of a `QueryClient` that is used: that of `@tanstack/react-query`, `-vue-query`, `-svelte-query` or `-solid-query`. */
export interface QueryCacheOwner {
  invalidateQueries(filters: { queryKey: QueryKey; exact?: boolean }): Promise<unknown>;
  getQueryCache(): {
    findAll(filters: { queryKey: QueryKey; exact?: boolean }): readonly {
      readonly queryKey: QueryKey;
      readonly state: { readonly data: unknown; readonly fetchStatus: string };
      readonly promise?: Promise<unknown> | undefined;
    }[];
  };
}
