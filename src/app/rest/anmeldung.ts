import type Router from '@koa/router';
import pg from 'pg';
import { HttpError } from 'pg-change-feed';
import { z } from 'zod';
import { STATUS } from '../tables.js';
import { changedRoute } from './anmeldung-changed.js';
import { csvRoute } from './anmeldung-csv.js';
import { duplicatesRoute } from './anmeldung-duplicates.js';
import { listAnmeldungen, parseAnmeldungenQuery } from './anmeldung-list.js';
import { statusRoute } from './anmeldung-status.js';
import { integer, someText, text } from './fields.js';
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

/** `/api/anmeldungen`: the registrations, of all events or of one. */
export function anmeldungRoutes(options: ApiOptions): Router {
  return resourceRoutes(options, {
    resource: 'anmeldung',
    path: '/api/anmeldungen',
    scope: { column: 'veranstaltung_id', field: 'veranstaltungId' },
    parseQuery: parseAnmeldungenQuery,
    create,
    update: update.transform((values) => ({ ...values })),
    list: listAnmeldungen,
    computed: ['warteplatz', 'doppelt'],
    more: (router, write, rights) => {
      duplicatesRoute(router, options.db, rights);
      csvRoute(router, options.db, rights);
      changedRoute(router, options.db, rights);
      statusRoute(router, write, rights);
    },
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
