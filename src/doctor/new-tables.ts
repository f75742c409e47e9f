import type { Check } from './finding.js';

/**
 * The event trigger of `watch_all(future => true)`, which watches tables that are made later: a superuser may drop or disable
 * it, and a restored dump leaves it out where no superuser restores.
 */
export const checkNewTables: Check = async (client) => {
  // The server's role may not read the rule, and a CASE does not keep Postgres from asking for the right.
  const { rows: rights } = await client.query<{ readable: boolean }>(
    `select has_table_privilege('change_feed.future_rule', 'select') as readable`,
  );
  if (!rights[0]?.readable) return [];
  const { rows } = await client.query<{ works: boolean; cure: string }>(`
    select exists (
        select from pg_event_trigger e
        where e.evtname = 'change_feed_new_table' and e.evtenabled in ('O', 'A')
          and e.evtfoid = to_regprocedure('change_feed.watch_new_table()')) as works,
      format('select change_feed.watch_all(omit => %L, keys => %L, future => true)', f.omit, f.keys) as cure
    from change_feed.future_rule f`);
  return rows.map(({ works, cure }) =>
    works
      ? { level: 'ok', about: 'new tables', says: 'an event trigger watches them' }
      : {
          level: 'fail',
          about: 'new tables',
          says: 'they are to be watched, and the event trigger change_feed_new_table is gone or disabled',
          cure: `as a superuser: ${cure}`,
        },
  );
};
