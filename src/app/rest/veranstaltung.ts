import type Router from '@koa/router';
import { type Kysely, sql, type Transaction } from 'kysely';
import { HttpError } from 'pg-change-feed';
import { z } from 'zod';
import type { Database } from '../tables.js';
import { day, integer, moment, numberInUrl, someText, text } from './fields.js';
import { listQuery, readPage } from './list-query.js';
import { type ApiOptions, resourceRoutes } from './resource-routes.js';

const fields = {
  name: someText(200),
  beginn: day,
  ende: day,
  meldebeginn: moment,
  meldeschluss: moment,
  ort: text(200).nullable(),
  maxTeilnehmende: integer(1),
  /** The fee in cents. */
  teilnahmegebuehr: integer(0),
  beschreibung: text(10_000).nullable(),
};

const create = z.strictObject({
  ...fields,
  ort: fields.ort.default(null),
  beschreibung: fields.beschreibung.default(null),
});
const update = z
  .strictObject(fields)
  .partial()
  .refine((values) => Object.keys(values).length > 0, 'expected at least one field');

const parseQuery = listQuery(
  ['id', 'name', 'beginn', 'ende', 'meldebeginn', 'meldeschluss', 'ort', 'maxTeilnehmende', 'teilnahmegebuehr'],
  /** Part of the name or of the place, in small or capital letters. */
  { suche: text(100).optional() },
);

function list(db: Kysely<Database>, query: ReturnType<typeof parseQuery>) {
  const { suche } = query;
  const part = `%${suche?.replace(/[\\%_]/g, '\\$&')}%`;
  const matching = db
    .selectFrom('veranstaltung')
    .$if(suche !== undefined, (rows) =>
      rows.where((eb) => eb.or([eb('name', 'ilike', part), eb('ort', 'ilike', part)])),
    );
  const rows = matching.selectAll().select((eb) =>
    // How many places are taken
    eb
      .selectFrom('anmeldung')
      .whereRef('anmeldung.veranstaltungId', '=', 'veranstaltung.id')
      .where('status', '=', 'BESTAETIGT')
      .select(sql<number>`count(*)::int`.as('count'))
      .as('belegt'),
  );
  return readPage(db, matching, rows, query);
}

/** `/api/veranstaltungen`: the events that people register for. */
export function veranstaltungRoutes(options: ApiOptions): Router {
  return resourceRoutes(options, {
    resource: 'veranstaltung',
    path: '/api/veranstaltungen',
    tellsOf: 'anmeldung', // belegt
    parseQuery,
    create,
    update: update.transform((values) => ({ ...values })),
    list,
    computed: ['belegt'],
    find: (db, id, forUpdate) =>
      db
        .selectFrom('veranstaltung')
        .selectAll()
        .where('id', '=', id)
        .$if(forUpdate, (query) => query.forUpdate())
        .executeTakeFirst(),
    insert: (transaction, values) =>
      transaction.insertInto('veranstaltung').values(values).returningAll().executeTakeFirstOrThrow(),
    change: (transaction, id, values) =>
      transaction
        .updateTable('veranstaltung')
        .set(values)
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirstOrThrow(),
    remove: async (transaction, id, query) => {
      await requireRegistrations(transaction, id, query.anmeldungen);
      await transaction.deleteFrom('veranstaltung').where('id', '=', id).execute();
    },
  });
}

const registrationsSeen = numberInUrl(0, 2_147_483_647).optional();

/**
 * Holds a deletion to `?anmeldungen=3`: how many registrations the client knows of. The event is locked, so none can come
 * meanwhile.
 * @throws {HttpError} 412 when there are more.
 */
async function requireRegistrations(transaction: Transaction<Database>, id: number, given: unknown): Promise<void> {
  const seen = registrationsSeen.safeParse(given);
  if (!seen.success) throw new HttpError('bad_request', 'anmeldungen: expected how many there are, from 0');
  if (seen.data === undefined) return;
  const { count } = await transaction
    .selectFrom('anmeldung')
    .where('veranstaltungId', '=', id)
    .select((eb) => eb.fn.countAll<string>().as('count'))
    .executeTakeFirstOrThrow();
  if (Number(count) > seen.data) {
    throw new HttpError('precondition_failed', `There are ${count} registrations now, not ${seen.data}`);
  }
}
