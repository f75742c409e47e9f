import type { Check, Finding } from './finding.js';

/** The database's encoding and locale. */
export const checkEncoding: Check = async (client) => {
  const { rows } = await client.query(`
    select current_setting('server_encoding') as encoding, lower('I') = 'i' and upper('i') = 'I' as plain, d.datname as name
    from pg_database d where d.datname = current_database()`);
  const { encoding, plain, name } = rows[0];
  const findings: Finding[] = [
    encoding === 'SQL_ASCII'
      ? {
          level: 'fail',
          about: 'encoding',
          says: 'it is SQL_ASCII, so that a text may be no UTF-8: changes of such rows name no keys',
          cure: `dump the database, and restore it into one of: create database ${client.escapeIdentifier(`${name}_utf8`)} encoding 'UTF8' template template0`,
        }
      : { level: 'ok', about: 'encoding', says: encoding },
  ];
  if (!plain) {
    findings.push({
      level: 'info',
      about: 'locale',
      says: "small and capital I are no pair in this database's locale, as in Turkish; the feed does not depend on it",
    });
  }
  return findings;
};

/** Publications and subscriptions that carry the feed's own tables: the log of one database means nothing in another. */
export const checkPublications: Check = async (client) => {
  const { rows } = await client.query<{ name: string; says: string; cure: string }>(`
    select format('the publication %I carries %s', p.pubname, string_agg(format('%I.%I', t.schemaname, t.tablename), ', ' order by 1)) as says,
      case when p.puballtables then format('make it anew with the tables that it is for: drop publication %1$I; create publication %1$I for table ...', p.pubname)
        when s.listed then format('alter publication %I drop tables in schema change_feed', p.pubname)
        else format('alter publication %I drop table %s', p.pubname, string_agg(format('%I.%I', t.schemaname, t.tablename), ', ' order by 1)) end as cure
    from pg_publication p join pg_publication_tables t on t.pubname = p.pubname
    cross join lateral (
      -- the catalog of publications FOR TABLES IN SCHEMA is there since PostgreSQL 15
      select exists (select from pg_depend d where d.refclassid = 'pg_publication'::regclass and d.refobjid = p.oid
        and d.classid = to_regclass('pg_publication_namespace')) and exists (
          select from pg_depend d2 join pg_depend d3 on d3.classid = d2.classid and d3.objid = d2.objid
          where d2.classid = to_regclass('pg_publication_namespace') and d2.refclassid = 'pg_publication'::regclass and d2.refobjid = p.oid
            and d3.refclassid = 'pg_namespace'::regclass and d3.refobjid = 'change_feed'::regnamespace) as listed
    ) s
    where t.schemaname = 'change_feed'
    group by p.pubname, p.puballtables, s.listed
    union all
    select format('a subscription writes into %s', string_agg(r.srrelid::regclass::text, ', ')),
      'at its publisher, take the schema change_feed out of the publication; then here: alter subscription ... refresh publication'
    from pg_subscription_rel r join pg_class c on c.oid = r.srrelid
    where c.relnamespace = 'change_feed'::regnamespace
    having count(*) > 0`);
  if (rows.length === 0) return [{ level: 'ok', about: 'publications', says: "none carries the feed's tables" }];
  return rows.map(({ says, cure }): Finding => ({ level: 'fail', about: 'publications', says, cure }));
};

/** The epoch: without one every client receives a resync when a server starts. */
export const checkEpoch: Check = async (client) => {
  const { rows } = await client.query<{ id: string }>('select id from change_feed.epoch_in_force');
  return [
    rows[0]
      ? { level: 'ok', about: 'epoch', says: rows[0].id }
      : {
          level: 'info',
          about: 'epoch',
          says: 'none is in force: the next server that starts begins one, and every client refetches',
        },
  ];
};
