import { type Kysely, sql, type Transaction } from 'kysely';
import pg from 'pg';
import { OperatorError } from '../operator-error.js';
import { installChangeFeed } from './install.js';

/** How long another migration of the same database is waited for, in seconds. */
const MIGRATION_S = 30;
const LOCK_NOT_AVAILABLE = '55P03';
const LACKS_RIGHT = '42501';

/**
 * Brings the schema `change_feed` to the version of this package, as {@link installChangeFeed} does, and touches nothing
 * else: what `pg-change-feed migrate` does. Safe to run at any time, by any number of servers at once. In migrations of
 * an application call {@link installChangeFeed}; either may continue where the other has stopped.
 * @returns the files of sql/ that were applied now.
 * @throws {OperatorError} when the schema cannot be brought up to date; what pg throws when the database can't be used.
 *   Then nothing is changed.
 */
// biome-ignore lint/suspicious/noExplicitAny: the tables of the application's database are no concern of ours
export async function migrateChangeFeed(db: Kysely<any>): Promise<string[]> {
  try {
    return await db.transaction().execute(migrateInTransaction);
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.severity !== 'ERROR' || error.code === LACKS_RIGHT) throw error;
    const reason = [error.message, error.hint].filter(Boolean).join('. ');
    throw new OperatorError(
      `The schema change_feed could not be brought up to date, and nothing was changed: ${reason}`,
    );
  }
}

// biome-ignore lint/suspicious/noExplicitAny: as above
async function migrateInTransaction(transaction: Transaction<any>): Promise<string[]> {
  try {
    await sql`set local lock_timeout = ${sql.lit(`${MIGRATION_S}s`)}`.execute(transaction);
    await sql`select pg_advisory_xact_lock(hashtext('change_feed'), hashtext('migrate'))`.execute(transaction);
    await sql`set local lock_timeout to default`.execute(transaction);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === LOCK_NOT_AVAILABLE)) throw error;
    throw new OperatorError(
      `Another session migrates, and has not ended within ${MIGRATION_S} s: wait for it, or look for it with ` +
        `\`select pid from pg_locks where locktype = 'advisory' and granted\`.`,
    );
  }
  return installChangeFeed(transaction);
}
