import pg from 'pg';
import { readConfig } from '../config.js';
import { findEmbeddedPostgres } from '../database/embedded-postgres.js';
import { databaseFailure } from '../database/failure.js';
import { OperatorError } from '../operator-error.js';

/**
 * Runs SQL like psql does, for people without it, and prints rows as a table and else what was done (`UPDATE 1`).
 * The database is DATABASE_URL's, or the embedded one that is running.
 * @throws {OperatorError} with what Postgres said.
 */
export async function sql(text: string): Promise<void> {
  const { databaseUrl, dataDir } = readConfig();
  const url = databaseUrl ?? (await findEmbeddedPostgres(dataDir))?.url;
  if (!url) throw new OperatorError('No embedded Postgres is running: start it with `npm start`, or set DATABASE_URL.');
  const client = new pg.Client({ connectionString: url, application_name: 'pg-change-feed sql' });
  try {
    await client.connect();
  } catch (error) {
    throw databaseFailure(error, url);
  }
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
