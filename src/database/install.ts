import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OperatorError } from '../operator-error.js';
import { packageRoot } from '../package-root.js';
import { carryOver, type Kept, keep } from './kept-settings.js';
import { inTransaction, type MigrationDatabase } from './migration-database.js';
import { removeSchema } from './remove-schema.js';
import { type Query, schemaFault, schemaState } from './schema-state.js';
import { shippedSchema } from './shipped-schema.js';

/** Settings of an installation. */
export interface InstallOptions {
  /**
   * True for a cluster in which nobody may make roles: everything belongs to the current user then, and the recorders run with
   * all rights of that user (docs/security.md). An upgrade keeps it. Not for a superuser. Default false.
   */
  readonly withoutRole?: boolean;
}

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
 * @param db is used in the transaction that it is in, or else in one of its own.
 * @example export const up = (db) => installChangeFeed(db)
 */
export function installChangeFeed(db: MigrationDatabase, options: InstallOptions = {}): Promise<string[]> {
  return inTransaction(db, (query) => install(query, options));
}

/** Does the work of {@link installChangeFeed} in a transaction. */
export async function install(query: Query, { withoutRole = false }: InstallOptions): Promise<string[]> {
  const state = await schemaState(query, { bodies: true });
  if (state.kind === 'current' && state.differs.length === 0) return [];
  if (state.kind === 'newer' || state.kind === 'foreign') throw new OperatorError(schemaFault(state) ?? '');

  let kept: Kept | undefined;
  if (state.kind !== 'none') {
    kept = await keep(query);
    await removeSchema(query);
  }
  if (withoutRole || kept?.withoutRole) await query(`select set_config('change_feed.without_role', 'on', true)`);
  const { files } = await shippedSchema();
  for (const name of files) await query(await readFile(join(packageRoot, 'sql', name), 'utf8'));
  if (kept) await carryOver(query, kept);
  return [...files];
}

/**
 * Removes the feed wholly: the triggers of all watched tables, the log, the functions. The role change_feed_owner stays:
 * other databases of the cluster may use it.
 * @throws {OperatorError} where an object outside of the schema depends on it, or a table cannot be locked.
 */
export function removeChangeFeed(db: MigrationDatabase): Promise<void> {
  return inTransaction(db, removeSchema);
}
