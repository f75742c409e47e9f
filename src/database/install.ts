import { CompiledQuery, type Kysely, sql } from 'kysely';
import { OperatorError } from '../operator-error.js';
import { carryOver, type Kept, keep } from './kept-settings.js';
import { removeSchema } from './remove-schema.js';
import { type Query, schemaFault, schemaState } from './schema-state.js';
import { shippedSchema } from './shipped-schema.js';
import { applySqlFile } from './sql-file.js';

/**
 * Puts the schema `change_feed` into the database of an application with migrations of its own, or brings it to the
 * version of this package. Call it again, in a new migration, after an upgrade of this package.
 *
 * A schema of another version is removed and made anew: the same tables are watched again under the same names, rights
 * that were granted on it are granted again, and a new epoch makes every client refetch.
 *
 * Needs a member of the role change_feed_owner, and for an upgrade the owner of all watched tables; a superuser makes the
 * role where there is none.
 * @returns the files of sql/ that were applied now; none where the schema is that of this package already.
 * @throws {OperatorError} where the schema is newer, or cannot be replaced; what Postgres says. Then nothing is changed.
 * @example export const up = (db) => installChangeFeed(db)
 */
// biome-ignore lint/suspicious/noExplicitAny: a migration's database has no types
export async function installChangeFeed(db: Kysely<any>): Promise<string[]> {
  if (!db.isTransaction) return db.transaction().execute((transaction) => installChangeFeed(transaction));
  const query = queryOver(db);
  const state = await schemaState(query);
  if (state.kind === 'current' && state.differs.length === 0) return [];
  if (state.kind === 'newer' || state.kind === 'foreign') throw new OperatorError(schemaFault(state) ?? '');

  let kept: Kept | undefined;
  if (state.kind !== 'none') {
    kept = await keep(query);
    await removeSchema(query);
  }
  const { files } = await shippedSchema();
  for (const name of files) await applySqlFile(db, name);
  if (kept) await carryOver(query, kept);
  return [...files];
}

/**
 * Removes the feed wholly: the triggers of all watched tables, the log, the functions. The role change_feed_owner stays:
 * other databases of the cluster may use it.
 * @throws {OperatorError} where an object outside of the schema depends on it, or a table cannot be locked.
 */
// biome-ignore lint/suspicious/noExplicitAny: as above
export async function removeChangeFeed(db: Kysely<any>): Promise<void> {
  if (!db.isTransaction) return db.transaction().execute((transaction) => removeChangeFeed(transaction));
  await removeSchema(queryOver(db));
}

/** Runs statements of a migration without its plugins, which would rename the columns. */
// biome-ignore lint/suspicious/noExplicitAny: as above
export function queryOver(db: Kysely<any>): Query {
  const plain = db.withoutPlugins();
  return async <Row extends object>(text: string, values: unknown[] = []) => {
    // Without values several statements may stand in one text.
    const run = values.length > 0 ? plain.executeQuery(CompiledQuery.raw(text, values)) : sql.raw(text).execute(plain);
    return (await run).rows as Row[];
  };
}
