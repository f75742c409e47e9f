import type {} from '@koa/bodyparser';
import Router from '@koa/router';
import type { Context } from 'koa';
import type { Kysely, Transaction } from 'kysely';
import { HttpError, setOrigin } from 'pg-change-feed';
import { z } from 'zod';
import type { Database } from '../tables.js';
import { etagOf, matchesNone, requireMatch } from './etag.js';
import { idInUrl } from './fields.js';
import type { Page } from './list-query.js';
import { type AuthorizeRequest, RowRights, type ScopeColumn } from './row-rights.js';
import { SharedLists } from './shared-lists.js';

/** Options of the REST routes of all tables. */
export interface ApiOptions {
  readonly db: Kysely<Database>;
  /** The feed's position of now, for lists. */
  readonly position: () => Promise<string>;
  /**
   * Names the state of a resource while many clients refetch it: another number after each change. Their lists are read
   * once. Undefined while there are no such clients.
   */
  readonly refetchStateOf: (resource: string) => number | undefined;
  /** Calls `listener` when a resource has changed, or may have, before any client receives the change. */
  readonly onChange: (resource: string, listener: () => void) => void;
  /** Tells whether this request may read and write a resource, or with a scope a part of it. */
  readonly authorize: AuthorizeRequest;
  /** The caller: the token's `sub`, the actor of what it writes. */
  readonly actorOf: (ctx: Context) => string;
}

/** Options that each table has for itself. */
export interface ResourceOptions<Row extends { id: number }, Query, Create, Update> {
  /** The resource in the feed, and in claims. */
  readonly resource: string;
  /** `/api/veranstaltungen` */
  readonly path: string;
  /** The column by which a token may be allowed a part of the table. Default: none. */
  readonly scope?: ScopeColumn;
  /** Another resource, of which its rows show something. */
  readonly tellsOf?: string;
  readonly parseQuery: (query: Context['query']) => Query;
  readonly create: z.ZodType<Create>;
  readonly update: z.ZodType<Update>;
  readonly list: (db: Kysely<Database>, query: Query) => Promise<Page<Row>>;
  /** Fields of a list's rows that the row itself does not have: they do not count for its ETag. */
  readonly computed: readonly string[];
  /** One row; `forUpdate` locks it until the transaction ends. */
  readonly find: (db: Kysely<Database>, id: number, forUpdate: boolean) => Promise<Row | undefined>;
  readonly insert: (transaction: Transaction<Database>, values: Create) => Promise<Row>;
  readonly change: (transaction: Transaction<Database>, id: number, values: Update) => Promise<Row>;
  /** `query` is that of the request: it names what else has to be as the client saw it. */
  readonly remove: (transaction: Transaction<Database>, id: number, query: Context['query']) => Promise<unknown>;
  /** Further routes under the path, before `/:id`. They check the rights to the rows that they read and write. */
  readonly more?: (router: Router, write: Write, rights: RowRights) => void;
}

/** Writes in a transaction that names the writer, as the change's origin. */
export type Write = <Result>(
  ctx: Context,
  work: (transaction: Transaction<Database>) => Promise<Result>,
) => Promise<Result>;

/** A stream's clientId, that a page sends along so that it knows its own change. */
const clientHeader = z.string().regex(/^[A-Za-z0-9._-]{0,100}$/, 'Change-Feed-Client: expected a clientId');

/** Takes `vorher` out of a change: what the client knows of the fields that it changes. */
const expected = z.unknown().transform((given) => {
  if (typeof given !== 'object' || given === null || !('vorher' in given)) return { body: given };
  const { vorher, ...body } = given;
  return { body, vorher: z.record(z.string(), z.unknown(), 'vorher: expected an object').parse(vorher) };
});

/** List, read, create, update and delete for one table. Mount behind authentication and a parser of JSON bodies. */
export function resourceRoutes<Row extends { id: number }, Query extends object, Create extends object, Update>(
  { db, position, refetchStateOf, onChange, authorize, actorOf }: ApiOptions,
  table: ResourceOptions<Row, Query, Create, Update>,
): Router {
  // Its middlewares are found by the path as it is written: else another spelling would lead past the rights below.
  const router = new Router({ prefix: table.path, sensitive: true });
  const lists = new SharedLists<{ readonly at: string; readonly page: Page<Row> }>();
  if (table.tellsOf) onChange(table.tellsOf, () => lists.forget());

  const rights = new RowRights(authorize, table.resource, table.scope);
  const foundRow = (row: Row | undefined, ctx: Context) => found(row && rights.allows(ctx, row) ? row : undefined, ctx);

  router.use((ctx, next) => {
    rights.requireSome(ctx);
    ctx.set('Cache-Control', 'no-store');
    return next();
  });

  router.get('/', async (ctx) => {
    const query = table.parseQuery(ctx.query);
    rights.requireAll(ctx, query);
    // All who get here may read each row that the filters leave, so who asks for the same gets the same.
    const { at, page } = await lists.get(JSON.stringify(query), refetchStateOf(table.resource), async () => {
      // In a statement before the rows: who streams from here misses nothing, and may see a change twice.
      const before = await position();
      return { at: before, page: withETags(await table.list(db, query), table.computed) };
    });
    ctx.set('Change-Feed-Position', at);
    ctx.body = page;
  });

  table.more?.(router, write, rights);

  router.get('/:id', async (ctx) => {
    const row = foundRow(await table.find(db, idOf(ctx), false), ctx);
    const etag = etagOf(row);
    ctx.set('ETag', etag);
    if (matchesNone(ctx.get('If-None-Match'), etag)) ctx.status = 304;
    else ctx.body = row;
  });

  router.post('/', async (ctx) => {
    const values = table.create.parse(ctx.request.body);
    rights.requireAll(ctx, values);
    const row = await write(ctx, (transaction) => table.insert(transaction, values));
    ctx.status = 201;
    ctx.set({ Location: `${table.path}/${row.id}`, ETag: etagOf(row) });
    ctx.body = row;
  });

  router.patch('/:id', async (ctx) => {
    const id = idOf(ctx);
    const { vorher, body } = expected.parse(ctx.request.body);
    const values = table.update.parse(body);
    const row = await write(ctx, async (transaction) => {
      const current = foundRow(await table.find(transaction, id, true), ctx);
      requireMatch(ctx.get('If-Match'), current);
      rights.requireAll(ctx, { ...current, ...values });
      if (vorher) requireValues(vorher, values as object, current);
      return table.change(transaction, id, values);
    });
    ctx.set('ETag', etagOf(row));
    ctx.body = row;
  });

  router.delete('/:id', async (ctx) => {
    const id = idOf(ctx);
    await write(ctx, async (transaction) => {
      const current = foundRow(await table.find(transaction, id, true), ctx);
      requireMatch(ctx.get('If-Match'), current);
      await table.remove(transaction, id, ctx.query);
    });
    ctx.status = 204;
  });

  async function write<Result>(
    ctx: Context,
    work: (transaction: Transaction<Database>) => Promise<Result>,
  ): Promise<Result> {
    const client = clientHeader.parse(ctx.get('Change-Feed-Client'));
    const written = await db.transaction().execute(async (transaction) => {
      await setOrigin(transaction, { actor: actorOf(ctx), client });
      return work(transaction);
    });
    lists.forget();
    // It is committed: where the position cannot be had, the answer goes without it.
    const after = await position().catch(() => undefined);
    if (after !== undefined) ctx.set('Change-Feed-Position', after);
    return written;
  }

  return router;
}

/** Gives each row the ETag that a change of it names. */
function withETags<Row extends object>(page: Page<Row>, computed: readonly string[]): Page<Row & { etag: string }> {
  const versionOf = (row: Row) => Object.fromEntries(Object.entries(row).filter(([name]) => !computed.includes(name)));
  return { ...page, items: page.items.map((row) => ({ ...row, etag: etagOf(versionOf(row)) })) };
}

/**
 * Holds a change to what the client knows of the fields that it changes: others may have changed meanwhile.
 * @throws {HttpError} 412 where one of them has, or is not named.
 */
function requireValues(before: Readonly<Record<string, unknown>>, values: object, current: object): void {
  const now = JSON.parse(JSON.stringify(current)) as Record<string, unknown>;
  const same = (name: string) => name in before && JSON.stringify(before[name]) === JSON.stringify(now[name]);
  if (!Object.keys(values).every(same)) {
    throw new HttpError('precondition_failed', 'The fields have changed since they were read: read the row again');
  }
}

function idOf(ctx: Context): number {
  const result = idInUrl.safeParse(ctx.params.id);
  if (!result.success) throw new HttpError('bad_request', 'id: expected a positive whole number');
  return result.data;
}

function found<Row>(row: Row | undefined, ctx: Context): Row {
  if (row === undefined) throw new HttpError('not_found', `There is no ${ctx.path}`);
  return row;
}
