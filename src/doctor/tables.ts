import type pg from 'pg';
import type { Check, Finding } from './finding.js';
import { watchCallOf } from './watch-call.js';

interface TriggerRow {
  root: string;
  /** The statement that watches it again as it is watched. */
  cure: string;
  relation: string;
  operation: string;
  present: boolean;
  enabled: boolean;
  /** Names of triggers that watch() does not make. */
  extra: string[];
}

/**
 * The triggers of all watched tables and of their partitions: each has to be there, and to fire always. A table counts as
 * watched as soon as it has one of ours.
 */
export const checkTriggers: Check = async (client) => {
  const { rows } = await client.query<TriggerRow>(`
    with root as (
      select distinct on (r.relation) r.relation, ${watchCallOf('r')} as cure from change_feed.recorder_trigger r
      where not exists (
        select from pg_partition_ancestors(r.relation) a join change_feed.recorder_trigger p on p.relation = a.relid
        where a.relid <> r.relation)
      order by r.relation, r.name = 'change_feed_insert' desc, r.name
    )
    select root.relation::text as root, root.cure, m.relid::regclass::text as relation, o.operation,
      t.tgname is not null as present, coalesce(t.tgenabled = 'A', false) as enabled,
      array(select x.name::text from change_feed.recorder_trigger x where x.relation = m.relid
        and x.name <> all (array['change_feed_insert', 'change_feed_update', 'change_feed_delete', 'change_feed_truncate'])) as extra
    from root
    cross join lateral (select root.relation as relid union select relid from pg_partition_tree(root.relation)) m
    join pg_class c on c.oid = m.relid
    cross join unnest(array['insert', 'update', 'delete', 'truncate']) o (operation)
    left join pg_trigger t on t.tgrelid = m.relid and t.tgname = 'change_feed_' || o.operation and not t.tgisinternal
    where not (c.relkind = 'f' and o.operation = 'truncate')
    order by 1, 3, 4`);
  const findings: Finding[] = [];
  let well = 0;
  for (const relation of new Set(rows.map((row) => row.relation))) {
    const triggers = rows.filter((row) => row.relation === relation);
    const { root = relation, cure = '' } = triggers[0] ?? {};
    const about = `triggers of ${relation}`;
    const missing = triggers.filter(({ present }) => !present).map(({ operation }) => operation);
    const off = triggers.filter(({ present, enabled }) => present && !enabled).map(({ operation }) => operation);
    if (missing.length === triggers.length) {
      findings.push({
        level: 'fail',
        about,
        says: `this partition of ${root} is not covered: what is written straight into it is missed`,
        cure,
      });
    } else if (missing.length > 0) {
      findings.push({ level: 'fail', about, says: `that for ${missing.join(', ')} is missing`, cure });
    }
    if (off.length > 0) {
      findings.push({
        level: 'fail',
        about,
        says: `that for ${off.join(', ')} is disabled, or does not fire always`,
        cure,
      });
    }
    const extra = triggers[0]?.extra ?? [];
    if (extra.length > 0) {
      findings.push({
        level: 'fail',
        about,
        says: `there are others of ours: ${extra.join(', ')}`,
        cure: extra.map((name) => `drop trigger ${client.escapeIdentifier(name)} on ${relation};`).join(' '),
      });
    }
    if (missing.length === 0 && off.length === 0 && extra.length === 0) well += 1;
  }
  if (well > 0)
    findings.push({ level: 'ok', about: 'triggers', says: well === 1 ? '1 table is well' : `${well} tables are well` });
  return findings;
};

/** The recorders: each is compared with the one that watch() would make now, because a key may have another name or type since. */
export const checkRecorders: Check = async (client) => {
  const { rows } = await client.query<{ relation: string; cure: string }>(`
    select distinct w.relation::text as relation, ${watchCallOf('w')} as cure
    from change_feed.watched_table w
    join change_feed.recorder_trigger r on r.relation = w.relation
    join pg_proc p on p.oid = r.function
    where p.prosrc <> change_feed.recorder_source(w.relation, w.resource, upper(substr(r.name, 13)), w.keys, w.scopes, p.proname)`);
  return rows.map(({ relation, cure }) => ({
    level: 'fail',
    about: `triggers of ${relation}`,
    says: 'they are of another version of the table, or of this package: events may name no keys',
    cure,
  }));
};

/** Foreign tables that have become a partition or an heir of a table watched with keys or scopes: writes to their rows fail. */
export const checkForeignMembers: Check = async (client) => {
  const { rows } = await client.query<{ relation: string; keys: boolean; cure: string; member: string }>(`
    select w.relation::text as relation, w.keys, ${watchCallOf('w', { keys: 'false', scopes: "'[]'::jsonb" })} as cure, m.relation::text as member
    from change_feed.watched_table w
    join lateral (
      with recursive tree (relation) as (
        select w.relation::oid union select i.inhrelid from tree join pg_inherits i on i.inhparent = tree.relation)
      select c.oid::regclass as relation from tree join pg_class c on c.oid = tree.relation where c.relkind = 'f' limit 1
    ) m on true
    where w.keys or w.scopes <> '[]'
    order by 1`);
  return rows.map(({ relation, keys, cure, member }) => ({
    level: 'fail',
    about: `triggers of ${relation}`,
    says: `the foreign table ${member} belongs to it since it was watched with ${keys ? 'keys' : 'scopes'}: writes to its rows fail`,
    cure,
  }));
};

/** Triggers of others that call NOTIFY for each row: beside ours they only cost. */
export const checkForeignTriggers: Check = async (client) => {
  const { rows } = await client.query<{ relation: string; name: string }>(`
    select t.tgrelid::regclass::text as relation, t.tgname as name
    from pg_trigger t join pg_proc p on p.oid = t.tgfoid
    where not t.tgisinternal and t.tgtype & 1 = 1 and p.pronamespace <> 'change_feed'::regnamespace
      and p.prosrc collate "C" ~* '\\m(pg_)?notify\\M'
    order by 1, 2`);
  return rows.map(({ relation, name }) => ({
    level: 'warn',
    about: `triggers of ${relation}`,
    says: `${name} calls NOTIFY for each row, so that all its writers commit one after the other`,
    cure: `drop trigger "${name.replaceAll('"', '""')}" on ${relation}, once nothing listens to it`,
  }));
};

/** Tables that are not watched: those that were asked for are a failure, others good to know. */
export function checkTables(named: readonly string[]): Check {
  return async (client) => {
    // One after the other: pg warns of a query behind another on the same connection.
    const findings: Finding[] = [];
    for (const name of named) findings.push(...(await checkTable(client, name)));
    if (named.length > 0) return findings;
    const { rows } = await client.query<{ relation: string }>(`
      select c.oid::regclass::text as relation from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't'
        and n.nspname not in ('change_feed', 'information_schema') and n.nspname !~ '^pg_'
        and c.relname !~ '^kysely_migration'
        and c.oid not in (select relation from change_feed.recorder_trigger)
      order by 1`);
    if (rows.length === 0) return [];
    const names = rows.map(({ relation }) => relation).join(', ');
    return [{ level: 'info', about: 'tables', says: `not watched: ${names}`, cure: 'pg-change-feed watch TABLE…' }];
  };
}

async function checkTable(client: pg.Client, name: string): Promise<Finding[]> {
  const { rows } = await client.query<{ there: boolean; watched: boolean }>(
    `select to_regclass($1) is not null as there,
      exists (select from change_feed.recorder_trigger where relation = to_regclass($1)) as watched`,
    [name],
  );
  const about = `table ${name}`;
  if (!rows[0]?.there) return [{ level: 'fail', about, says: 'there is no such table' }];
  if (rows[0].watched) return [{ level: 'ok', about, says: 'watched' }];
  return [{ level: 'fail', about, says: 'it is not watched', cure: `pg-change-feed watch ${name}` }];
}
