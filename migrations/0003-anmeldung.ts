import { type Kysely, sql } from 'kysely';
import { unwatch, watch } from '../src/database/watch.js';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('anmeldung')
    .addColumn('id', 'integer', (column) => column.generatedAlwaysAsIdentity().primaryKey())
    .addColumn('veranstaltung_id', 'integer', (column) =>
      column.notNull().references('veranstaltung.id').onDelete('cascade'),
    )
    .addColumn('vorname', 'text', (column) => column.notNull())
    .addColumn('nachname', 'text', (column) => column.notNull())
    .addColumn('email', 'text', (column) => column.notNull())
    .addColumn('status', 'text', (column) => column.notNull().defaultTo('OFFEN'))
    .addColumn('kommentar', 'text')
    .addColumn('erstellt_am', 'timestamptz', (column) => column.notNull().defaultTo(sql`now()`))
    .addCheckConstraint('vorname_nicht_leer', sql`vorname ~ '\\S'`)
    .addCheckConstraint('nachname_nicht_leer', sql`nachname ~ '\\S'`)
    .addCheckConstraint('email_plausibel', sql`email ~ '^[^@[:space:]]+@[^@[:space:]]+$'`)
    .addCheckConstraint('status_bekannt', sql`status in ('OFFEN', 'BESTAETIGT', 'STORNIERT', 'ABGELEHNT')`)
    .addCheckConstraint('erstellt_am_endlich', sql`isfinite(erstellt_am)`)
    .execute();
  // For the list of one event's registrations, and for the cascade
  await db.schema.createIndex('anmeldung_veranstaltung').on('anmeldung').column('veranstaltung_id').execute();
  await watch(db, 'anmeldung');
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await unwatch(db, 'anmeldung');
  await db.schema.dropTable('anmeldung').execute();
}
