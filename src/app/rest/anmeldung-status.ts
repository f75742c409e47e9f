import type {} from '@koa/bodyparser';
import type Router from '@koa/router';
import { z } from 'zod';
import { STATUS } from '../tables.js';
import { etagOf } from './etag.js';
import { integer } from './fields.js';
import type { Write } from './resource-routes.js';
import type { RowRights } from './row-rights.js';

/** The largest number of rows: that of a page of a list. */
const MAX_ROWS = 500;

const body = z.strictObject({
  status: z.enum(STATUS, `expected one of ${STATUS.join(', ')}`),
  rows: z
    .array(z.strictObject({ id: integer(1), etag: z.string('expected an ETag').max(100, 'expected an ETag') }))
    .min(1, 'expected at least one row')
    .max(MAX_ROWS, `expected at most ${MAX_ROWS} rows`),
});

/**
 * `POST /status` with `{"status":"BESTAETIGT","rows":[{"id":1,"etag":"…"}]}`: one status for up to 500 registrations, in
 * one transaction. Those that have changed since they were read, or are gone, are left as they are and named.
 */
export function statusRoute(router: Router, write: Write, rights: RowRights): void {
  router.post('/status', async (ctx) => {
    const { status, rows } = body.parse(ctx.request.body);
    const etags = new Map(rows.map(({ id, etag }) => [id, etag]));
    ctx.body = await write(ctx, async (transaction) => {
      const rowsNow = await transaction
        .selectFrom('anmeldung')
        .selectAll()
        .where('id', 'in', [...etags.keys()])
        .orderBy('id') // so that two who write the same rows wait for each other, and never both
        .forUpdate()
        .execute();
      // Rows that the token does not allow are as those that are gone.
      const now = rowsNow.filter((row) => rights.allows(ctx, row));
      const same = now.filter((row) => etagOf(row) === etags.get(row.id)).map(({ id }) => id);
      if (same.length > 0) await transaction.updateTable('anmeldung').set({ status }).where('id', 'in', same).execute();
      const there = new Set(now.map(({ id }) => id));
      return {
        changed: same,
        conflicts: now.map(({ id }) => id).filter((id) => !same.includes(id)),
        gone: [...etags.keys()].filter((id) => !there.has(id)),
      };
    });
  });
}
