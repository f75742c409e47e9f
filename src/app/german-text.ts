import { type Kysely, type RawBuilder, sql } from 'kysely';

/**
 * The type of a column with German text: it sorts as people look it up, Ärmel beside Armel, whatever the database's own
 * collation is. A Postgres that was built without ICU has no such collation; there it is plain text.
 */
export async function germanText(db: Kysely<unknown>): Promise<RawBuilder<string>> {
  const { rows } = await sql`select from pg_catalog.pg_collation where collname = 'de-x-icu'`.execute(db);
  return rows.length > 0 ? sql`text collate pg_catalog."de-x-icu"` : sql`text`;
}
