import { type Kysely, sql } from 'kysely';
import { unwatch, watch } from 'pg-change-feed';
import { germanText } from '../src/app/german-text.js';

export async function up(db: Kysely<unknown>): Promise<void> {
  const german = await germanText(db);
  await db.schema
    .createTable('anmeldung')
    .addColumn('id', 'integer', (column) => column.generatedAlwaysAsIdentity().primaryKey())
    .addColumn('veranstaltung_id', 'integer', (column) =>
      column.notNull().references('veranstaltung.id').onDelete('cascade'),
    )
    .addColumn('vorname', german, (column) => column.notNull())
    .addColumn('nachname', german, (column) => column.notNull())
    .addColumn('email', german, (column) => column.notNull())
    .addColumn('status', 'text', (column) => column.notNull().defaultTo('OFFEN'))
    .addColumn('kommentar', german)
    .addColumn('erstellt_am', 'timestamptz', (column) => column.notNull().defaultTo(sql`now()`))
    .addCheckConstraint('vorname_nicht_leer', sql`vorname ~ '\\S'`)
    .addCheckConstraint('nachname_nicht_leer', sql`nachname ~ '\\S'`)
    .addCheckConstraint('email_plausibel', sql`email ~ '^[^@[:space:]]+@[^@[:space:]]+$'`)
    .addCheckConstraint('status_bekannt', sql`status in ('OFFEN', 'BESTAETIGT', 'STORNIERT', 'ABGELEHNT')`)
    .addCheckConstraint('erstellt_am_endlich', sql`isfinite(erstellt_am)`)
    .execute();
  // For the list of one event's registrations, its queue of those who wait, and the cascade
  await db.schema
    .createIndex('anmeldung_veranstaltung')
    .on('anmeldung')
    .columns(['veranstaltung_id', 'status', 'erstellt_am', 'id'])
    .execute();
  // For duplicates: the same address or the same name
  await sql`create index anmeldung_email on anmeldung (veranstaltung_id, lower(email))`.execute(db);
  await sql`create index anmeldung_name on anmeldung (veranstaltung_id, lower(nachname), lower(vorname))`.execute(db);
  // So that a page follows one event's registrations, and a token may be for one event
  await watch(db, 'anmeldung', { scopes: ['veranstaltung_id'] });
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await unwatch(db, 'anmeldung');
  await db.schema.dropTable('anmeldung').execute();
}
