import { CompiledQuery, type Kysely, sql } from 'kysely';
import type { Query } from './schema-state.js';

/** Runs a statement with its values in one session, as `client.query(text, values)` of pg does. */
export type RunStatement = (text: string, values?: unknown[]) => PromiseLike<unknown>;

/**
 * A database as a migration tool has it: Kysely, a client or pool of pg, or a function that runs a statement.
 * A function runs all statements in one session; one text may hold several statements.
 */
// biome-ignore lint/suspicious/noExplicitAny: a migration's database has no types
export type MigrationDatabase = Kysely<any> | { query: RunStatement } | RunStatement;

/** A pool of pg: each of its queries may take another session. */
interface Pool {
  connect(): Promise<{ query: RunStatement; release(): void }>;
  readonly totalCount: number;
}

const NO_TRANSACTION = '25P01';

/** Makes the function that runs statements on a database, without the plugins of Kysely, which would rename columns. */
export function queryOf(db: MigrationDatabase): Query {
  if (isKysely(db)) {
    const plain = db.withoutPlugins();
    return async <Row extends object>(text: string, values: unknown[] = []) => {
      // Without values one text may hold several statements.
      const run =
        values.length > 0 ? plain.executeQuery(CompiledQuery.raw(text, values)) : sql.raw(text).execute(plain);
      return (await run).rows as Row[];
    };
  }
  const run: RunStatement = typeof db === 'function' ? db : (...given) => db.query(...given);
  return async <Row extends object>(text: string, values?: unknown[]) => {
    // Some tools take an argument that is there and undefined for values.
    return rowsOf<Row>(await (values ? run(text, values) : run(text)));
  };
}

/**
 * Runs work in the transaction that the database is in, or in one of its own where it is in none. Where the work fails,
 * nothing of it remains.
 */
export async function inTransaction<Result>(
  db: MigrationDatabase,
  work: (query: Query) => Promise<Result>,
): Promise<Result> {
  if (isKysely(db)) {
    return db.isTransaction ? work(queryOf(db)) : db.transaction().execute((transaction) => work(queryOf(transaction)));
  }
  if (isPool(db)) {
    const client = await db.connect();
    try {
      return await inTransaction(client, work);
    } finally {
      client.release();
    }
  }
  const query = queryOf(db);
  const isInside = await savepoint(query);
  if (!isInside) await query('begin');
  try {
    const result = await work(query);
    await query(isInside ? 'release savepoint change_feed' : 'commit');
    return result;
  } catch (error) {
    // The first error says more than one of the rollback, on a connection that is gone.
    await query(isInside ? 'rollback to savepoint change_feed' : 'rollback').catch(() => {});
    throw error;
  }
}

/** An error of Postgres, as pg has it. */
interface PostgresError {
  readonly code: string;
  readonly severity: string;
  readonly message: string;
  readonly hint?: string;
}

/** Finds the error of Postgres in another one: some tools wrap it. Undefined for other failures. */
export function postgresErrorOf(error: unknown): PostgresError | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  if ('severity' in error && 'code' in error) return error as PostgresError;
  return 'cause' in error ? postgresErrorOf(error.cause) : undefined;
}

/** Sets a savepoint. @returns false outside of a transaction, where there are none. */
async function savepoint(query: Query): Promise<boolean> {
  try {
    await query('savepoint change_feed');
    return true;
  } catch (error) {
    if (postgresErrorOf(error)?.code === NO_TRANSACTION) return false;
    throw error;
  }
}

/** Reads the rows of a result: a list, or an object with a list of `rows`. */
function rowsOf<Row>(result: unknown): Row[] {
  if (Array.isArray(result)) return result as Row[];
  return (result as { rows?: Row[] } | undefined)?.rows ?? [];
}

// biome-ignore lint/suspicious/noExplicitAny: as above
function isKysely(db: MigrationDatabase): db is Kysely<any> {
  return typeof db === 'object' && 'withoutPlugins' in db;
}

function isPool(db: object): db is Pool {
  return 'connect' in db && 'totalCount' in db;
}
