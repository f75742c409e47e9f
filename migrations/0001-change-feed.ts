import { type Kysely, sql } from 'kysely';
import { applySqlFile } from '../src/database/sql-file.js';

export async function up(db: Kysely<unknown>): Promise<void> {
  await applySqlFile(db, '001-log.sql');
  await applySqlFile(db, '002-watch.sql');
  await applySqlFile(db, '003-position.sql');
  await applySqlFile(db, '004-prune.sql');
  await applySqlFile(db, '006-call.sql');
}

/** The role change_feed_owner stays: other databases of the cluster may use it. */
export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`
    do $$
    declare
      watched regclass;
    begin
      for watched in select relation from change_feed.watched_table loop
        perform change_feed.unwatch(watched);
      end loop;
    end
    $$`.execute(db);
  await sql`drop schema change_feed cascade`.execute(db);
}
