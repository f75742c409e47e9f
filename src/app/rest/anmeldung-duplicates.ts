import type Router from '@koa/router';
import { type Kysely, sql } from 'kysely';
import { z } from 'zod';
import type { Database } from '../tables.js';
import { idInUrl, text } from './fields.js';
import type { RowRights } from './row-rights.js';

/** More than these need not be named to warn of one. */
const MAX_DUPLICATES = 5;

const queryOf = z.object({
  veranstaltungId: idInUrl,
  vorname: text(100).default(''),
  nachname: text(100).default(''),
  email: text(254).default(''),
  /** The registration that is edited: it is no duplicate of itself. */
  ohne: idInUrl.optional(),
});

/**
 * `GET /doppelte?veranstaltungId=7&vorname=Ada&nachname=Schröder&email=ada@example.org&ohne=3`: up to five registrations
 * for the event that have the same name or address, in small or capital letters, and are neither cancelled nor refused.
 */
export function duplicatesRoute(router: Router, db: Kysely<Database>, rights: RowRights): void {
  router.get('/doppelte', async (ctx) => {
    const { veranstaltungId, vorname, nachname, email, ohne = 0 } = queryOf.parse(ctx.query);
    rights.requireAll(ctx, { veranstaltungId });
    const items = await db
      .selectFrom('anmeldung')
      .where('veranstaltungId', '=', veranstaltungId)
      .where('id', '<>', ohne)
      .where('status', 'in', ['OFFEN', 'BESTAETIGT'])
      .where(
        sql<boolean>`(lower(email) = lower(${email.trim()})
          or (lower(nachname), lower(vorname)) = (lower(${nachname.trim()}), lower(${vorname.trim()})))`,
      )
      .select(['id', 'vorname', 'nachname', 'email', 'status'])
      .orderBy('id')
      .limit(MAX_DUPLICATES)
      .execute();
    ctx.body = { items };
  });
}
