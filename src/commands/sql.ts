import pg from 'pg';
import { OperatorError } from '../operator-error.js';
import { connectToDatabase } from './database.js';

/**
 * Runs SQL like psql does, for people without it, and prints rows as a table and else what was done (`UPDATE 1`).
 * @throws {OperatorError} with what Postgres said.
 */
export async function sql(text: string): Promise<void> {
  const client = await connectToDatabase('sql');
  try {
    const results = [await client.query(text)].flat();
    for (const { rows, command, rowCount } of results) {
      if (rows.length > 0) console.table(rows);
      console.log(rowCount === null ? command : `${command} ${rowCount}`);
    }
  } catch (error) {
    throw error instanceof pg.DatabaseError ? new OperatorError(`${error.severity}: ${error.message}`) : error;
  } finally {
    await client.end();
  }
}
