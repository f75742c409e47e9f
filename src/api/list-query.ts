import type { ParsedUrlQuery } from 'node:querystring';
import { type SelectQueryBuilder, sql } from 'kysely';
import { z } from 'zod';
import type { Database } from '../database/tables.js';
import { numberInUrl } from './fields.js';

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 500;

/** One column to sort by. */
export interface Sorting<Column extends string> {
  readonly column: Column;
  readonly direction: 'asc' | 'desc';
}

/** A list's answer. */
export interface Page<Item> {
  readonly items: readonly Item[];
  /** How many there are in all. */
  readonly total: number;
  readonly limit: number;
  readonly offset: number;
}

/**
 * Reads `?limit=` (1 to 500, default 50), `?offset=` (default 0), `?sort=beginn,-name` (a minus: descending), and the
 * filters of a list. `?token=` is passed over: it is for authentication, which may take it from the query.
 * @param columns what may be sorted by.
 * @param filters schemas of the further parameters; all may be absent.
 * @returns a function that throws a ZodError for what is malformed, and for parameters that nobody knows.
 */
export function listQuery<Column extends string, Filters extends z.ZodRawShape>(
  columns: readonly Column[],
  filters: Filters,
) {
  const schema = z.strictObject({
    limit: numberInUrl(1, MAX_LIMIT).default(DEFAULT_LIMIT),
    offset: numberInUrl(0, 2_147_483_647).default(0),
    sort: z
      .string()
      .default('')
      .transform((text, context) => {
        const sortings: Sorting<Column>[] = [];
        for (const name of text.split(',').filter((part) => part !== '')) {
          const column = columns.find((candidate) => candidate === name.replace(/^-/, ''));
          if (!column) {
            context.addIssue({
              code: 'custom',
              message: `expected names out of ${columns.join(', ')}, each with - for descending`,
            });
            return z.NEVER;
          }
          sortings.push({ column, direction: name.startsWith('-') ? 'desc' : 'asc' });
        }
        return sortings;
      }),
    ...filters,
  });
  return ({ token: _token, ...query }: ParsedUrlQuery) => schema.parse(query);
}

/**
 * Reads a page and how many rows there are in all, in one statement: so they agree while others write.
 * @param matching the rows that the filters leave.
 * @param rows the same, with the columns that are answered.
 */
export async function readPage<Table extends keyof Database, Row>(
  matching: SelectQueryBuilder<Database, Table, object>,
  rows: SelectQueryBuilder<Database, Table, Row>,
  { limit, offset, sort }: { limit: number; offset: number; sort: readonly Sorting<string>[] },
): Promise<Page<Omit<Row, 'total'>>> {
  const count = matching.select((eb) => eb.fn.countAll<string>().as('total'));
  let page = rows.select(count.as('total'));
  for (const { column, direction } of sort) page = page.orderBy(sql.ref(column), direction);
  const found = await page.orderBy(sql.ref('id')).limit(limit).offset(offset).execute();
  // Behind the end there is no row that could say it.
  const [counted] = found.length > 0 || offset === 0 ? found : await count.execute();
  const items = found.map(({ total: _total, ...row }) => row);
  return { items, total: Number(counted?.total ?? 0), limit, offset };
}
