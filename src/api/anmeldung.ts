import type Router from '@koa/router';
import type { Kysely } from 'kysely';
import pg from 'pg';
import { z } from 'zod';
import { type Database, STATUS } from '../database/tables.js';
import { HttpError } from '../http-error.js';
import { idInUrl, integer, someText, text } from './fields.js';
import { listQuery, readPage } from './list-query.js';
import { type ApiOptions, resourceRoutes } from './resource-routes.js';

const fields = {
  veranstaltungId: integer(1),
  vorname: someText(100),
  nachname: someText(100),
  email: text(254).regex(/^[^@\s]+@[^@\s]+$/, 'expected an address such as ada@example.org'),
  status: z.enum(STATUS, `expected one of ${STATUS.join(', ')}`),
  kommentar: text(10_000).nullable(),
};

const create = z.strictObject({
  ...fields,
  status: fields.status.default('OFFEN'),
  kommentar: fields.kommentar.default(null),
});
const update = z
  .strictObject(fields)
  .partial()
  .refine((values) => Object.keys(values).length > 0, 'expected at least one field');

const parseQuery = listQuery(['id', 'veranstaltungId', 'vorname', 'nachname', 'email', 'status', 'erstelltAm'], {
  veranstaltungId: idInUrl.optional(),
  status: fields.status.optional(),
});

function list(db: Kysely<Database>, query: ReturnType<typeof parseQuery>) {
  const { veranstaltungId, status } = query;
  const matching = db
    .selectFrom('anmeldung')
    .$if(veranstaltungId !== undefined, (rows) => rows.where('veranstaltungId', '=', veranstaltungId ?? 0))
    .$if(status !== undefined, (rows) => rows.where('status', '=', status ?? 'OFFEN'));
  return readPage(matching, matching.selectAll(), query);
}

/** `/api/anmeldungen`: the registrations, of all events or of one. */
export function anmeldungRoutes(options: ApiOptions): Router {
  return resourceRoutes(options, {
    resource: 'anmeldung',
    path: '/api/anmeldungen',
    parseQuery,
    create,
    update: update.transform((values) => ({ ...values })),
    list,
    find: (db, id, forUpdate) =>
      db
        .selectFrom('anmeldung')
        .selectAll()
        .where('id', '=', id)
        .$if(forUpdate, (query) => query.forUpdate())
        .executeTakeFirst(),
    insert: (transaction, values) =>
      namingVeranstaltung(transaction.insertInto('anmeldung').values(values).returningAll().executeTakeFirstOrThrow()),
    change: (transaction, id, values) =>
      namingVeranstaltung(
        transaction.updateTable('anmeldung').set(values).where('id', '=', id).returningAll().executeTakeFirstOrThrow(),
      ),
    remove: (transaction, id) => transaction.deleteFrom('anmeldung').where('id', '=', id).execute(),
  });
}

/** Says in the words of the API that there is no such event. */
async function namingVeranstaltung<Row>(written: Promise<Row>): Promise<Row> {
  try {
    return await written;
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === '23503') {
      throw new HttpError('conflict', 'veranstaltungId: there is no such Veranstaltung');
    }
    throw error;
  }
}
