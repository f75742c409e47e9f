import type { Kysely } from 'kysely';
import { removeChangeFeed } from '../src/database/install.js';
import { applySqlFile } from '../src/database/sql-file.js';

export async function up(db: Kysely<unknown>): Promise<void> {
  await applySqlFile(db, '001-log.sql');
  await applySqlFile(db, '002-watch.sql');
  await applySqlFile(db, '003-position.sql');
  await applySqlFile(db, '004-prune.sql');
  await applySqlFile(db, '005-status.sql');
  await applySqlFile(db, '006-call.sql');
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await removeChangeFeed(db);
}
