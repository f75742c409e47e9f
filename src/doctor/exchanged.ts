import type { Check, Finding } from './finding.js';
import { watchCallOf } from './watch-call.js';

/** Tables that have taken the place of a watched one, by a rename or anew: they have no triggers. */
const EXCHANGED = `
  select u.oid::regclass::text as relation, w.relation::text as former, w.resource, ${watchCallOf('w', { relation: 'u.oid' })} as cure
  from change_feed.watched_table w
  join pg_class o on o.oid = w.relation
  join pg_class u on u.relnamespace = o.relnamespace and u.relname = w.resource and u.relkind in ('r', 'p')
  where u.oid <> w.relation and o.relname <> w.resource
    and not exists (select from change_feed.recorder_trigger r where r.relation = u.oid)
  order by 1`;

/** Recorders without a table, and the table that has the name of theirs now. The comments of recorders name their table. */
const ORPHANS = `
  select string_agg(p.oid::regprocedure::text, ', ' order by p.proname) as recorders, u.oid::regclass::text as relation
  from pg_proc p
  left join pg_class u on u.relkind in ('r', 'p')
    and u.oid = to_regclass(substring(obj_description(p.oid, 'pg_proc') from '^Records the changes of (.*)$'))
    and not exists (select from change_feed.recorder_trigger r where r.relation = u.oid)
  where p.pronamespace = 'change_feed'::regnamespace and p.prorettype = 'trigger'::regtype and p.proname like 'record%'
    and not exists (select from pg_trigger t where t.tgfoid = p.oid)
  group by u.oid, obj_description(p.oid, 'pg_proc')
  order by 1`;

/** Watched tables that were exchanged for others: by ALTER TABLE … RENAME, or by DROP and CREATE. */
export const checkExchanged: Check = async (client) => {
  const exchanged = await client.query<{ relation: string; former: string; resource: string; cure: string }>(EXCHANGED);
  const orphans = await client.query<{ recorders: string; relation: string | null }>(ORPHANS);
  const literal = (name: string) => client.escapeLiteral(name);
  return [
    ...exchanged.rows.map(
      ({ relation, former, resource, cure }): Finding => ({
        level: 'fail',
        about: `triggers of ${relation}`,
        says: `it is not watched, and ${former} is watched as ${literal(resource)}: the two were exchanged by a rename`,
        cure: `select change_feed.unwatch(${literal(former)}); ${cure}`,
      }),
    ),
    ...orphans.rows.map(
      ({ recorders, relation }): Finding =>
        relation
          ? {
              level: 'fail',
              about: `triggers of ${relation}`,
              says: 'it is not watched, and a table of its name was: it was dropped and made again',
              cure: `select change_feed.watch(${literal(relation)})`,
            }
          : {
              level: 'info',
              about: 'triggers',
              says: `${recorders} belong to a table that was dropped`,
              cure: `drop function ${recorders}`,
            },
    ),
  ];
};
