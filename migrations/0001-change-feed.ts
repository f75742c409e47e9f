import type { Kysely } from 'kysely';
import { installChangeFeed, removeChangeFeed } from '../src/database/install.js';

export async function up(db: Kysely<unknown>): Promise<void> {
  await installChangeFeed(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await removeChangeFeed(db);
}
