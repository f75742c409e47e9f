import type { Kysely } from 'kysely';
import { installChangeFeed, removeChangeFeed } from 'pg-change-feed';

export async function up(db: Kysely<unknown>): Promise<void> {
  await installChangeFeed(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await removeChangeFeed(db);
}
