import { withoutPassword } from '../database/address.js';
import { poolerFailure } from '../database/failure.js';
import { rowSecurityFault } from '../database/row-security.js';
import { type Query, schemaFault, schemaState } from '../database/schema-state.js';
import { OperatorError } from '../operator-error.js';
import type { ChangeLog } from './log/change-log.js';

/** Facts about the database server that the feed needs. */
export interface DatabaseServer {
  /** PREPARE TRANSACTION may happen: then no writer notifies, because it fails after NOTIFY. */
  readonly mayPrepare: boolean;
}

/**
 * Checks that this server can read a feed here.
 * @param databaseUrl the address of the log's sessions, which the sentence names.
 * @throws {OperatorError} on a standby, through a pooler in transaction mode, without the schema or with one of another
 * version, and where row level security hides the log, with what to do.
 */
export async function checkDatabaseServer(log: ChangeLog, databaseUrl: string): Promise<DatabaseServer> {
  const [server] = await log.query<{ standby: boolean; prepared: boolean; pinned: boolean }>(
    `select pg_is_in_recovery() as standby, current_setting('plan_cache_mode') = 'force_generic_plan' as pinned,
      current_setting('max_prepared_transactions')::int > 0 as prepared`,
  );
  if (server?.standby) {
    throw new OperatorError('The database is a standby, where LISTEN does not work: connect to the primary.');
  }
  // A pooler with the setting to ignore the settings of our sessions
  if (!server?.pinned) throw poolerFailure(withoutPassword(databaseUrl));
  const query: Query = (text, values) => log.query(text, values);
  const fault = schemaFault(await schemaState(query)) ?? (await rowSecurityFault(query));
  if (fault !== undefined) throw new OperatorError(fault);
  return { mayPrepare: server.prepared };
}
