import type { ParsedUrlQuery } from 'node:querystring';
import { type Kysely, type RawBuilder, type SelectQueryBuilder, sql } from 'kysely';
import { z } from 'zod';
import type { Database } from '../tables.js';
import { idInUrl, numberInUrl } from './fields.js';

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 500;
/** Characters of `?sort=`: more than all columns of a table take. */
const MAX_SORT_LENGTH = 1000;

/** One column to sort by. */
export interface Sorting<Column extends string> {
  readonly column: Column;
  readonly direction: 'asc' | 'desc';
}

/** A list's answer. */
export interface Page<Item> {
  readonly items: readonly Item[];
  /** The number of all rows. */
  readonly total: number;
  readonly limit: number;
  readonly offset: number;
}

/** The page of a list that is asked for. */
export interface PageQuery {
  readonly limit: number;
  readonly offset: number;
  /** A row's id: the page that holds it is read instead of that at `offset`. */
  readonly around?: number | undefined;
  readonly sort: readonly Sorting<string>[];
}

/**
 * Reads `?limit=` (1 to 500, default 50), `?offset=` (default 0), `?around=7` (the page that holds row 7, where the
 * filters leave it), `?sort=beginn,-name` (a minus: descending; each column once), and the filters of a list. `?token=` is
 * passed over: it is for authentication, which may take it from the query.
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
    around: idInUrl.optional(),
    sort: z
      .string()
      .default('')
      .transform((text, context) => {
        const sortings = sortingsOf(text, columns);
        if (typeof sortings !== 'string') return sortings;
        context.addIssue({ code: 'custom', message: sortings });
        return z.NEVER;
      }),
    ...filters,
  });
  return ({ token: _token, ...query }: ParsedUrlQuery) => schema.parse(query);
}

/** The columns of `?sort=`, or why it is refused. */
function sortingsOf<Column extends string>(text: string, columns: readonly Column[]): Sorting<Column>[] | string {
  // Before it is split: a column for each comma would be planned by Postgres, and block this process while it is built.
  if (text.length > MAX_SORT_LENGTH) return `expected at most ${MAX_SORT_LENGTH} characters`;
  const sortings = new Map<Column, Sorting<Column>>();
  for (const name of text.split(',').filter((part) => part !== '')) {
    const column = columns.find((candidate) => candidate === name.replace(/^-/, ''));
    if (!column) return `expected names out of ${columns.join(', ')}, each with - for descending`;
    if (sortings.has(column)) return `expected each name once, got ${column} again`;
    sortings.set(column, { column, direction: name.startsWith('-') ? 'desc' : 'asc' });
  }
  return [...sortings.values()];
}

/**
 * Reads a page and how many rows there are in all, in one statement: so they agree while others write.
 * @param matching the rows that the filters leave.
 * @param rows the same, with the columns that are answered.
 * @param orders what a column is sorted by, where that is not the column itself.
 */
export async function readPage<Table extends keyof Database, Row>(
  db: Kysely<Database>,
  matching: SelectQueryBuilder<Database, Table, object>,
  rows: SelectQueryBuilder<Database, Table, Row>,
  { limit, offset: asked, around, sort }: PageQuery,
  orders: Readonly<Record<string, RawBuilder<unknown>>> = {},
): Promise<Page<Omit<Row, 'total'>>> {
  const order = sql.join([
    ...sort.map(({ column, direction }) => sql`${orders[column] ?? sql.ref(column)} ${sql.raw(direction)}`),
    sql.ref('id'),
  ]);
  const place = around === undefined ? undefined : await placeOf(db, matching, around, order);
  const offset = place === undefined ? asked : place - (place % limit);
  const count = matching.select((eb) => eb.fn.countAll<string>().as('total'));
  const page = rows.select(count.as('total')).orderBy(order);
  const found = await page.limit(limit).offset(offset).execute();
  // Behind the end there is no row that could say it.
  const [counted] = found.length > 0 || offset === 0 ? found : await count.execute();
  const items = found.map(({ total: _total, ...row }) => row);
  return { items, total: Number(counted?.total ?? 0), limit, offset };
}

/** Counts the rows before this one; undefined where the filters leave it out. */
async function placeOf<Table extends keyof Database>(
  db: Kysely<Database>,
  matching: SelectQueryBuilder<Database, Table, object>,
  id: number,
  order: RawBuilder<unknown>,
): Promise<number | undefined> {
  const numbered = matching.select([
    sql<number>`${sql.ref('id')}`.as('id'),
    sql<string>`row_number() over (order by ${order})`.as('place'),
  ]);
  const { rows } = await sql<{ place: string }>`select place from ${numbered} as numbered where id = ${id}`.execute(db);
  return rows[0] && Number(rows[0].place) - 1;
}
