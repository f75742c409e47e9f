import type pg from 'pg';

/** Makes the schema look like one of before it had a version: what came with the version is gone again. */
export async function makeUnversioned(admin: pg.Client): Promise<void> {
  await admin.query(`
    drop function change_feed.schema_version(), change_feed.ensure_owner(), change_feed.acts_as_owner(),
      change_feed.begin_file(text, integer), change_feed.end_file(text), change_feed.repair(), change_feed.check_owner();
    drop view change_feed.owner_fault;
    delete from change_feed.sql_file where name = '000-schema.sql';
    alter table change_feed.sql_file rename begun_at to at;
    alter table change_feed.sql_file drop ended_at`);
}

/** Gives the schema another version. */
export async function makeVersion(admin: pg.Client, version: number): Promise<void> {
  await admin.query(
    `create or replace function change_feed.schema_version() returns integer language sql immutable as 'select ${version}'`,
  );
}
