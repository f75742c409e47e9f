import pg from 'pg';
import { queryOf } from '../database/migration-database.js';
import { schemaFault, schemaState } from '../database/schema-state.js';
import { OperatorError } from '../operator-error.js';
import { connectToDatabase } from './database.js';
import { type Reach, reachColumns } from './reach.js';

/** Asks the servers with a notification: faster than `change_feed.reached()`, which cannot notify before it ends. */
const ASK = 'select change_feed.ask_servers() as question';
const FIND = 'select change, resources, says from change_feed.find_change(null, $1, null)';
const REACH = `select ${reachColumns} from change_feed.reach($1, $2, $3)`;

/**
 * Prints whether the newest change has reached anyone, with a line for each server.
 * @param resource the newest change of it. Default: of all.
 * @throws {OperatorError} where the database has no feed, or its user may not ask.
 */
export async function reached(resource: string | undefined, { json }: { readonly json: boolean }): Promise<void> {
  const client = await connectToDatabase('reached');
  try {
    const fault = schemaFault(await schemaState(queryOf(client)));
    if (fault) throw new OperatorError(fault);
    const [{ question }] = (await client.query(ASK)).rows;
    const [{ change, resources, says }] = (await client.query(FIND, [resource ?? null])).rows;
    const { rows } = await client.query<Reach>(REACH, [question, change, resources]);
    const named = rows.map((row) =>
      row.server === 'all' ? { ...row, says: [says, row.says].filter(Boolean).join(': ') } : row,
    );
    console.log(json ? JSON.stringify(named, null, 2) : named.map(lineOf).join('\n'));
  } catch (error) {
    throw error instanceof pg.DatabaseError ? new OperatorError(`${error.severity}: ${error.message}`) : error;
  } finally {
    await client.end();
  }
}

function lineOf({ server, resource, has_read, subscribed, handed, behind, ms, says }: Reach): string {
  if (server === 'all') return `${resource === null ? '' : `${resource}  `}${says}`;
  const parts = [
    has_read === true && 'has read it',
    handed === null ? subscribed !== null && `${subscribed} subscribed` : `sent to ${handed} of ${subscribed}`,
    behind ? `${behind} behind` : false,
    ms !== null && `${ms} ms`,
    says,
  ];
  return `  ${server}  ${[resource, parts.filter(Boolean).join(', ')].filter(Boolean).join('  ')}`;
}
