import { Readable } from 'node:stream';
import type Router from '@koa/router';
import { type Kysely, sql } from 'kysely';
import { HttpError } from 'pg-change-feed';
import type { Database } from '../tables.js';
import { matchingAnmeldungen, ORDERS, parseAnmeldungenQuery } from './anmeldung-list.js';
import { csvOf } from './csv.js';
import type { RowRights } from './row-rights.js';

/** A file that is made in memory stays of a size that any server has. */
const MAX_ROWS = 20_000;

const HEAD = ['Nr.', 'Nachname', 'Vorname', 'E-Mail', 'Status', 'Angemeldet am', 'Kommentar', 'Veranstaltung'];

const STATUS_TEXTS = { OFFEN: 'offen', BESTAETIGT: 'bestätigt', STORNIERT: 'storniert', ABGELEHNT: 'abgelehnt' };

/**
 * `GET /csv` with the filters and the sorting of the list, and `zeitzone=Europe/Berlin` (the default) for its moments:
 * all rows as a file for a German Excel.
 * @throws {HttpError} 400 for a time zone that nobody knows, and for more than 20,000 rows.
 */
export function csvRoute(router: Router, db: Kysely<Database>, rights: RowRights): void {
  router.get('/csv', async (ctx) => {
    const { zeitzone, ...filters } = ctx.query;
    const moment = momentIn(zeitzone === undefined ? 'Europe/Berlin' : String(zeitzone));
    const query = parseAnmeldungenQuery(filters);
    rights.requireAll(ctx, query);
    const order = query.sort.map(
      ({ column, direction }) =>
        sql`${column === 'status' ? ORDERS.status : sql.ref(`anmeldung.${column}`)} ${sql.raw(direction)}`,
    );
    const rows = await db
      .selectFrom(matchingAnmeldungen(db, query).selectAll().as('anmeldung'))
      .innerJoin('veranstaltung', 'veranstaltung.id', 'anmeldung.veranstaltungId')
      .selectAll('anmeldung')
      .select('veranstaltung.name as veranstaltung')
      .orderBy(sql.join([...order, sql.ref('anmeldung.id')]))
      .limit(MAX_ROWS + 1)
      .execute();
    if (rows.length > MAX_ROWS) {
      throw new HttpError('bad_request', `More than ${MAX_ROWS} rows: narrow them down by event, status or search`);
    }
    const cellsOf = (row: (typeof rows)[number]) => [
      String(row.id),
      row.nachname,
      row.vorname,
      row.email,
      STATUS_TEXTS[row.status],
      moment(row.erstelltAm),
      row.kommentar ?? '',
      row.veranstaltung,
    ];
    ctx.type = 'text/csv; charset=utf-8';
    ctx.attachment('anmeldungen.csv');
    ctx.body = Readable.from(csvOf(HEAD, rows, cellsOf));
  });
}

/** `24.12.2026 14:30`, which Excel takes for a moment. */
function momentIn(timeZone: string): (moment: Date) => string {
  try {
    const format = new Intl.DateTimeFormat('de-DE', { timeZone, dateStyle: 'medium', timeStyle: 'short' });
    return (moment) => format.format(moment).replace(',', '');
  } catch {
    throw new HttpError('bad_request', 'zeitzone: expected a time zone such as Europe/Berlin');
  }
}
