import { OperatorError } from '../operator-error.js';
import { type InstallOptions, install } from './install.js';
import { inTransaction, type MigrationDatabase, postgresErrorOf } from './migration-database.js';
import type { Query } from './schema-state.js';

/** The longest wait for another migration of the same database, in seconds. */
const MIGRATION_S = 30;
const LOCK_NOT_AVAILABLE = '55P03';
const LACKS_RIGHT = '42501';
/** A unique violation, a duplicate or an undefined schema or table, and a relation that is gone: another has migrated meanwhile. */
const MADE_MEANWHILE: ReadonlySet<unknown> = new Set(['23505', '42P06', '3F000', '42P01', 'XX000']);
const MAX_ATTEMPTS = 3;

/**
 * Brings the schema `change_feed` to the version of this package, as {@link installChangeFeed} does, and touches nothing
 * else: what `pg-change-feed migrate` does. Safe to run at any time, by any number of servers at once. In migrations of
 * an application call {@link installChangeFeed}; either may continue where the other has stopped.
 * @returns the files of sql/ that were applied now.
 * @throws {OperatorError} when the schema cannot be brought up to date; what pg throws when the database can't be used.
 *   Then nothing is changed.
 */
export async function migrateChangeFeed(db: MigrationDatabase, options: InstallOptions = {}): Promise<string[]> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await inTransaction(db, (query) => migrate(query, options));
    } catch (error) {
      const refusal = postgresErrorOf(error);
      if (refusal?.severity !== 'ERROR' || refusal.code === LACKS_RIGHT) throw error;
      if (MADE_MEANWHILE.has(refusal.code) && attempt < MAX_ATTEMPTS) continue;
      const reason = [refusal.message, refusal.hint].filter(Boolean).join('. ');
      throw new OperatorError(
        `The schema change_feed could not be brought up to date, and nothing was changed: ${reason}`,
      );
    }
  }
}

/**
 * One migration at a time: the second waits for the table that the first replaces, or for the schema that it makes, and
 * fails then. A lock on a table needs a right on it. Anybody may take an advisory lock, and so keep others from migrating.
 */
async function migrate(query: Query, options: InstallOptions): Promise<string[]> {
  const [found] = await query<{ there: boolean }>(
    `select exists (select from pg_tables where schemaname = 'change_feed' and tablename = 'sql_file') as there`,
  );
  if (found?.there) {
    await query(`set local lock_timeout = '${MIGRATION_S}s'`);
    try {
      await query('lock table change_feed.sql_file in access exclusive mode');
    } catch (error) {
      if (postgresErrorOf(error)?.code !== LOCK_NOT_AVAILABLE) throw error;
      throw new OperatorError(
        `Another session has worked on the schema change_feed for ${MIGRATION_S} s: wait for it, or look for it with ` +
          `\`select pid from pg_locks where relation = 'change_feed.sql_file'::regclass\`.`,
      );
    }
    await query('set local lock_timeout to default');
  }
  return install(query, options);
}
