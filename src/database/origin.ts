import { type MigrationDatabase, queryOf } from './migration-database.js';

/** The writer of a change, as events name it. Each is cut to 200 characters. */
export interface WriteOrigin {
  /** The person: `origin.actor` of the events. */
  readonly actor?: string | null | undefined;
  /** The page's `clientId`, from the header `Change-Feed-Client`: `origin.client`, by which the page knows its own change. */
  readonly client?: string | null | undefined;
}

const SET_ORIGIN = `select pg_catalog.set_config('change_feed.actor', pg_catalog.left($1, 200), true),
  pg_catalog.set_config('change_feed.client', pg_catalog.left($2, 200), true)`;

/**
 * Names the writer in the events of this transaction, by the settings `change_feed.actor` and `change_feed.client`, which end
 * with it. In plain SQL: `select set_config('change_feed.actor', $1, true)`.
 *
 * @param transaction the transaction that writes; outside of a transaction the settings end at once.
 *
 * @example
 * await db.transaction().execute(async (transaction) => {
 *   await setOrigin(transaction, { actor: user.id, client: request.headers.get('Change-Feed-Client') });
 *   await transaction.updateTable('kunde').set({ name }).where('id', '=', id).execute();
 * });
 */
export async function setOrigin(transaction: MigrationDatabase, { actor, client }: WriteOrigin): Promise<void> {
  await queryOf(transaction)(SET_ORIGIN, [actor ?? '', client ?? '']);
}
