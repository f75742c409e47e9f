import type Router from '@koa/router';
import { type Kysely, sql } from 'kysely';
import { z } from 'zod';
import type { Database } from '../tables.js';
import { idInUrl } from './fields.js';
import type { RowRights } from './row-rights.js';

const queryOf = z.object({
  veranstaltungId: idInUrl,
  /** The epoch does not matter here: what a crash has taken back is not there to be counted. */
  seit: z
    .string('expected a position')
    .max(8000, 'expected a position')
    .regex(/^[^.]*\.\d+:\d+:[\d,]*$/, 'expected a position'),
});

/**
 * The transaction that wrote a row, in full: a row has its last 32 bits. Postgres keeps no row from so long ago that they
 * would have come round, but as frozen: before any snapshot that a client can have.
 */
const WRITTEN_BY = sql`(case when xmin::text::bigint > now.low then now.high - 4294967296 else now.high end
  + xmin::text::bigint)::text::xid8`;

/**
 * `GET /geaendert?veranstaltungId=7&seit=…`: how many registrations for an event were added or changed since a position, the
 * header `Change-Feed-Position` of a list for one. Where a statement changes many rows, an event names neither them nor
 * their number.
 */
export function changedRoute(router: Router, db: Kysely<Database>, rights: RowRights): void {
  router.get('/geaendert', async (ctx) => {
    const { veranstaltungId, seit } = queryOf.parse(ctx.query);
    rights.requireAll(ctx, { veranstaltungId });
    const snapshot = seit.slice(seit.indexOf('.') + 1);
    const { rows } = await sql<{ count: number }>`
      with current as (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as xid),
        now as (select xid & 4294967295 as low, xid - (xid & 4294967295) as high from current)
      select count(*)::int as count from anmeldung, now
        where veranstaltung_id = ${veranstaltungId}
          and not pg_visible_in_snapshot(${WRITTEN_BY}, ${snapshot}::pg_snapshot)`.execute(db);
    ctx.body = { count: rows[0]?.count ?? 0 };
  });
}
