import { type Kysely, sql } from 'kysely';
import { unwatch, watch } from 'pg-change-feed';
import { germanText } from '../src/app/german-text.js';

export async function up(db: Kysely<unknown>): Promise<void> {
  const german = await germanText(db);
  await db.schema
    .createTable('veranstaltung')
    .addColumn('id', 'integer', (column) => column.generatedAlwaysAsIdentity().primaryKey())
    .addColumn('name', german, (column) => column.notNull())
    .addColumn('beginn', 'date', (column) => column.notNull())
    .addColumn('ende', 'date', (column) => column.notNull())
    .addColumn('meldebeginn', 'timestamptz', (column) => column.notNull())
    .addColumn('meldeschluss', 'timestamptz', (column) => column.notNull())
    .addColumn('ort', german)
    .addColumn('max_teilnehmende', 'integer', (column) => column.notNull())
    .addColumn('teilnahmegebuehr', 'integer', (column) => column.notNull())
    .addColumn('beschreibung', german)
    .addCheckConstraint('name_nicht_leer', sql`name ~ '\\S'`)
    .addCheckConstraint('ende_nicht_vor_beginn', sql`ende >= beginn`)
    .addCheckConstraint('meldeschluss_nicht_vor_meldebeginn', sql`meldeschluss >= meldebeginn`)
    .addCheckConstraint(
      'zeiten_endlich',
      sql`isfinite(beginn) and isfinite(ende) and isfinite(meldebeginn) and isfinite(meldeschluss)`,
    )
    .addCheckConstraint('max_teilnehmende_positiv', sql`max_teilnehmende > 0`)
    .addCheckConstraint('teilnahmegebuehr_nicht_negativ', sql`teilnahmegebuehr >= 0`)
    .execute();
  await sql`comment on column veranstaltung.teilnahmegebuehr is 'in Cent'`.execute(db);
  await watch(db, 'veranstaltung');
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await unwatch(db, 'veranstaltung');
  await db.schema.dropTable('veranstaltung').execute();
}
