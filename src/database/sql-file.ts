import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Kysely, sql } from 'kysely';
import { packageRoot } from '../package-root.js';

/**
 * Runs a file of sql/, for migrations. The file itself notes in `change_feed.sql_file` that it was applied.
 * @param name without the folder: `001-log.sql`.
 */
// biome-ignore lint/suspicious/noExplicitAny: a migration's database has no types
export async function applySqlFile(db: Kysely<any>, name: string): Promise<void> {
  const text = await readFile(join(packageRoot, 'sql', name), 'utf8');
  // Raw and without parameters: only then does Postgres take several statements at once.
  await sql.raw(text).execute(db);
}
