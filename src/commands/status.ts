import pg from 'pg';
import { queryOf } from '../database/migration-database.js';
import { schemaFault, schemaState } from '../database/schema-state.js';
import { OperatorError } from '../operator-error.js';
import { connectToDatabase } from './database.js';

interface StatusRow {
  what: string;
  name: string;
  at: Date | null;
  state: string;
}

/**
 * Prints `change_feed.status`: servers that report, the last change of each resource, and the size of the log.
 * @throws {OperatorError} where the database has no feed, or its user may not look.
 */
export async function status({ json }: { readonly json: boolean }): Promise<void> {
  const client = await connectToDatabase('status');
  try {
    const fault = schemaFault(await schemaState(queryOf(client)));
    if (fault) throw new OperatorError(fault);
    // Row level security on the log is an error then, and not an empty answer.
    await client.query('set row_security = off');
    const { rows } = await client.query<StatusRow>('select what, name, at, state from change_feed.status');
    console.log(json ? JSON.stringify(rows, null, 2) : linesOf(rows).join('\n'));
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    throw new OperatorError(`${error.severity}: ${error.message}`);
  } finally {
    await client.end();
  }
}

function linesOf(rows: readonly StatusRow[]): string[] {
  const servers = rows.some(({ what }) => what === 'server') ? [] : ['server    none reports'];
  const width = Math.max(...rows.map(({ name }) => name.length));
  return [
    ...servers,
    ...rows.map(({ what, name, at, state }) =>
      [what.padEnd(8), name.padEnd(width), (at?.toISOString().slice(0, 19) ?? '').padEnd(19), state].join('  '),
    ),
  ];
}
