import { type Kysely, sql } from 'kysely';
import { z } from 'zod';
import { type Database, STATUS } from '../tables.js';
import { idInUrl, text } from './fields.js';
import { listQuery, readPage } from './list-query.js';

/** Reads the query of a list of registrations. */
export const parseAnmeldungenQuery = listQuery(
  ['id', 'veranstaltungId', 'vorname', 'nachname', 'email', 'status', 'kommentar', 'erstelltAm'],
  {
    veranstaltungId: idInUrl.optional(),
    status: z.enum(STATUS, `expected one of ${STATUS.join(', ')}`).optional(),
    /** Part of a name, of the address or of the comment, in small or capital letters. */
    suche: text(100).optional(),
  },
);

export type AnmeldungenQuery = ReturnType<typeof parseAnmeldungenQuery>;

/** The order of the states of a registration, instead of that of their letters. */
export const ORDERS = { status: sql`array_position(array['OFFEN', 'BESTAETIGT', 'STORNIERT', 'ABGELEHNT'], status)` };

/** A place in the queue of those who wait for a decision, from 1; null for others. */
const WARTEPLATZ = sql<number | null>`case when anmeldung.status = 'OFFEN' then (
  select count(*)::int from anmeldung as other
  where other.veranstaltung_id = anmeldung.veranstaltung_id and other.status = 'OFFEN'
    and (other.erstellt_am, other.id) <= (anmeldung.erstellt_am, anmeldung.id)) end`;

/** Tells whether another one for the same event that still counts has the same name or address. */
const DOPPELT = sql<boolean>`anmeldung.status in ('OFFEN', 'BESTAETIGT') and exists (
  select from anmeldung as other
  where other.veranstaltung_id = anmeldung.veranstaltung_id and other.id <> anmeldung.id
    and other.status in ('OFFEN', 'BESTAETIGT')
    and (lower(other.email) = lower(anmeldung.email)
      or (lower(other.nachname), lower(other.vorname)) = (lower(anmeldung.nachname), lower(anmeldung.vorname))))`;

/** The registrations that the filters leave. */
export function matchingAnmeldungen(db: Kysely<Database>, { veranstaltungId, status, suche }: AnmeldungenQuery) {
  const part = `%${suche?.replace(/[\\%_]/g, '\\$&')}%`;
  return db
    .selectFrom('anmeldung')
    .$if(veranstaltungId !== undefined, (rows) => rows.where('veranstaltungId', '=', veranstaltungId ?? 0))
    .$if(status !== undefined, (rows) => rows.where('status', '=', status ?? 'OFFEN'))
    .$if(suche !== undefined, (rows) =>
      rows.where((eb) =>
        eb.or([
          sql<boolean>`(vorname || ' ' || nachname) ilike ${part}`,
          sql<boolean>`(nachname || ', ' || vorname) ilike ${part}`,
          eb('email', 'ilike', part),
          eb('kommentar', 'ilike', part),
        ]),
      ),
    );
}

/** A page, and for one event how many registrations have each status: `zahlen`. */
export async function listAnmeldungen(db: Kysely<Database>, query: AnmeldungenQuery) {
  const rows = matchingAnmeldungen(db, query);
  const { veranstaltungId } = query;
  const [page, zahlen] = await Promise.all([
    readPage(db, rows, rows.selectAll().select([WARTEPLATZ.as('warteplatz'), DOPPELT.as('doppelt')]), query, ORDERS),
    veranstaltungId === undefined ? undefined : countByStatus(db, veranstaltungId),
  ]);
  return { ...page, ...(zahlen && { zahlen }) };
}

async function countByStatus(db: Kysely<Database>, veranstaltungId: number) {
  const counts = await db
    .selectFrom('anmeldung')
    .where('veranstaltungId', '=', veranstaltungId)
    .groupBy('status')
    .select((eb) => ['status', eb.fn.countAll<string>().as('count')])
    .execute();
  return Object.fromEntries(
    STATUS.map((each) => [each, Number(counts.find(({ status }) => status === each)?.count ?? 0)]),
  );
}
