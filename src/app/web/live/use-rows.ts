import { keepPreviousData, useQueryClient } from '@tanstack/vue-query';
import type { Resource } from 'pg-change-feed/client';
import { useLiveQuery } from 'pg-change-feed/vue-query';
import { computed, type MaybeRefOrGetter, shallowRef, toValue, watch } from 'vue';
import { fetchList, type ListParameters, type Page } from '../api/rows.js';
import { parameter, setParameters } from '../route.js';
import { useFetchNow } from './fetch-now.js';

/** The numbers of rows that a page may have. */
export const PAGE_SIZES = [10, 20, 50, 100] as const;
const DEFAULT_SIZE = 20;

/** Options of a list of rows. */
export interface RowsOptions {
  /** The resources of its data in the feed, or scopes of them. */
  resource: Resource | readonly Resource[];
  /** `/api/veranstaltungen` */
  path: string;
  /** The filters of the rows. */
  filters: MaybeRefOrGetter<ListParameters>;
  /** The default where the address has none. */
  defaultSort: string;
}

/**
 * A page of a list that follows every change. The address says which: `seite`, `zeilen`, `sort`. What is shown stays while
 * the next page loads, and while the server can't be reached.
 */
export function useRows<Item extends { id: number }, More = unknown>(options: RowsOptions) {
  const { resource, path, filters, defaultSort } = options;
  const client = useQueryClient();
  const fetchNow = useFetchNow();
  const sort = computed(() => parameter('sort') || defaultSort);
  const size = computed(() => PAGE_SIZES.find((each) => String(each) === parameter('zeilen')) ?? DEFAULT_SIZE);
  const page = computed(() => Math.max(Math.trunc(Number(parameter('seite'))) || 1, 1));
  /** The row to look at: it was saved just now. */
  const found = shallowRef<number>();

  const keyOf = (which: number) => [path, toValue(filters), sort.value, size.value, which];
  const asked = (which: number): ListParameters => ({
    ...toValue(filters),
    sort: sort.value,
    limit: size.value,
    offset: (which - 1) * size.value,
  });
  const query = useLiveQuery(resource, {
    queryKey: computed(() => keyOf(page.value)),
    queryFn: () => fetchList<Item, More>(path, asked(page.value)),
    placeholderData: keepPreviousData,
  });
  const total = computed(() => query.data.value?.total ?? 0);
  const pages = computed(() => Math.max(Math.ceil(total.value / size.value), 1));

  // Others have emptied the last page: back to the last that there is.
  watch(
    () => query.data.value && !query.isPlaceholderData.value && page.value > pages.value,
    (behind) => behind && setParameters({ seite: pages.value > 1 ? pages.value : '' }, 'replace'),
  );

  /** Reads the page that holds a row. @returns undefined where the filters leave the row out. */
  async function pageOf(id: number): Promise<number | undefined> {
    const list = await fetchList<Item, More>(path, { ...asked(1), offset: undefined, around: id });
    if (!list.items.some((item) => item.id === id)) return undefined;
    const which = list.offset / size.value + 1;
    client.setQueryData<Page<Item>>(keyOf(which), list);
    return which;
  }

  const reload = () => fetchNow(keyOf(page.value));

  return {
    query,
    reload,
    sort,
    size,
    page,
    pages,
    total,
    found,
    items: computed<readonly Item[]>(() => query.data.value?.items ?? []),
    /** Goes to a page, from 1. */
    goTo: (which: number) => setParameters({ seite: which > 1 ? which : '' }),
    sortBy: (by: string) => setParameters({ sort: by === defaultSort ? '' : by, seite: '' }),
    setSize: (rows: number) => setParameters({ zeilen: rows === DEFAULT_SIZE ? '' : rows, seite: '' }),
    /** Shows a row wherever it sorted. @returns whether the filters let it be seen. */
    async show(id: number): Promise<boolean> {
      const which = await pageOf(id);
      if (which !== undefined) setParameters({ seite: which > 1 ? which : '' });
      found.value = id;
      void reload();
      return which !== undefined;
    },
    /**
     * Shows at once what was saved of a row. What was read before that is not shown any more.
     * @param also what else of the list is another with it.
     * @returns the list once it is shown; undefined where it is not there.
     */
    async put(
      row: Partial<Item> & { id: number },
      also: (list: Page<Item> & More) => Partial<More> = () => ({}),
    ): Promise<(Page<Item> & More) | undefined> {
      const queryKey = keyOf(page.value);
      await client.cancelQueries({ queryKey, exact: true });
      const shown = client.setQueryData<Page<Item> & More>(queryKey, (list) => {
        if (!list) return undefined;
        const items = list.items.map((item) => (item.id === row.id ? { ...item, ...row } : item));
        return { ...list, ...also(list), items };
      });
      // Vue Query tells of it in a task of its own.
      await new Promise((resolve) => setTimeout(resolve));
      void reload();
      return shown;
    },
    /** The row behind this one in the list, on the next page where it has to be; undefined at the end. */
    async after(id: number): Promise<number | undefined> {
      const items = query.data.value?.items ?? [];
      const at = items.findIndex((item) => item.id === id);
      if (at < 0) return undefined;
      const next = items[at + 1];
      if (next || page.value >= pages.value) return next?.id;
      const { items: following } = await fetchList<Item>(path, asked(page.value + 1));
      if (following[0]) setParameters({ seite: page.value + 1 });
      return following[0]?.id;
    },
  };
}
