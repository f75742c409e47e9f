import { setTimeout as delay } from 'node:timers/promises';
import { OperatorError } from '../operator-error.js';
import type { Query } from './schema-state.js';
import { shippedSchema } from './shipped-schema.js';

/** How long the locks of all tables are tried for, in ms. */
const LOCK_MS = 10_000;
/** Between two attempts, in ms: writers go on meanwhile. */
const PAUSE_MS = 50;
const LOCK_NOT_AVAILABLE = '55P03';

/** Members of the schema, for the statements below. */
const MEMBERS = `
  member as (
    select 'pg_catalog.pg_class'::regclass as class, oid, relnamespace as namespace from pg_catalog.pg_class
    union all select 'pg_catalog.pg_proc'::regclass, oid, pronamespace from pg_catalog.pg_proc
    union all select 'pg_catalog.pg_type'::regclass, oid, typnamespace from pg_catalog.pg_type
  ), ours as (
    select m.class, m.oid from member m join pg_catalog.pg_namespace n on n.oid = m.namespace where n.nspname = 'change_feed'
  )`;

/** Objects outside of the schema that DROP CASCADE would take along: all but the triggers of watched tables. */
const DEPENDENTS = `
  with ${MEMBERS}, dependent as (
    select case d.classid
        when 'pg_catalog.pg_trigger'::regclass then (select t.tgrelid from pg_catalog.pg_trigger t
          where t.oid = d.objid and not starts_with(t.tgname, 'change_feed_'))
        when 'pg_catalog.pg_rewrite'::regclass then (select r.ev_class from pg_catalog.pg_rewrite r where r.oid = d.objid)
        when 'pg_catalog.pg_attrdef'::regclass then (select a.adrelid from pg_catalog.pg_attrdef a where a.oid = d.objid)
        when 'pg_catalog.pg_constraint'::regclass then (select c.conrelid from pg_catalog.pg_constraint c where c.oid = d.objid)
        when 'pg_catalog.pg_policy'::regclass then (select p.polrelid from pg_catalog.pg_policy p where p.oid = d.objid)
      end as relation, d.classid, d.objid
    from pg_catalog.pg_depend d join ours o on o.class = d.refclassid and o.oid = d.refobjid
    where d.deptype = 'n'
  )
  select distinct coalesce(pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, x.relation, 0),
    pg_catalog.pg_describe_object(x.classid, x.objid, 0)) as name
  from dependent x
  where case when x.classid in ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_type'::regclass)
      then not exists (select from ours o where o.class = x.classid and o.oid = x.objid)
    else x.relation is not null
      and not exists (select from ours o where o.class = 'pg_catalog.pg_class'::regclass and o.oid = x.relation) end
  order by 1`;

/** Tables in the schema, and those outside that have triggers of ours. */
const TABLES = `
  select c.relname::text as name, n.nspname = 'change_feed' as ours,
    format('%I.%I', n.nspname, c.relname) as qualified, pg_catalog.pg_has_role(c.relowner, 'USAGE') as owned
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and (n.nspname = 'change_feed' or c.oid in (
    select t.tgrelid from pg_catalog.pg_trigger t join pg_catalog.pg_proc p on p.oid = t.tgfoid
    join pg_catalog.pg_namespace f on f.oid = p.pronamespace
    where f.nspname = 'change_feed' and starts_with(t.tgname, 'change_feed_')))
  order by ours, qualified`;

/** Deferred triggers of ours: what the transaction has written would be "pending trigger events". */
const DEFERRED = `
  select format('set constraints change_feed.%I immediate', t.tgname) as statement
  from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'change_feed' and t.tgdeferrable and not t.tgisinternal`;

interface TableRow {
  name: string;
  ours: boolean;
  qualified: string;
  owned: boolean;
}

/**
 * Drops the schema `change_feed` of any version, whole or half, with the triggers of all watched tables. In the caller's
 * transaction, which may have written to watched tables before.
 * @throws {OperatorError} where something of others stands in the schema or depends on it, where a watched table belongs to
 * another role, and where the tables cannot be locked within 10 s.
 */
export async function removeSchema(query: Query): Promise<void> {
  const tables = await query<TableRow>(TABLES);
  const { objects } = await shippedSchema();
  const strange = tables.find(({ name, ours }) => ours && !objects.includes(name));
  if (strange) {
    throw new OperatorError(
      `The schema change_feed has a table that is not of pg-change-feed: move ${strange.qualified} to another schema first.`,
    );
  }
  const [dependent] = await query<{ name: string }>(DEPENDENTS);
  if (dependent) {
    throw new OperatorError(
      `The schema change_feed cannot be replaced: drop the ${dependent.name}, which depends on it, and make it again afterwards.`,
    );
  }
  const foreign = tables.find(({ ours, owned }) => !ours && !owned);
  if (foreign) {
    throw new OperatorError(
      `Only the owner of ${foreign.qualified} can have it watched: run this as the owner of all watched tables, or as a superuser.`,
    );
  }
  for (const { statement } of await query<{ statement: string }>(DEFERRED)) await query(statement);
  await lock(query, tables);
  await query('drop schema change_feed cascade');
}

/**
 * Takes the locks of all tables, or none: a lock is never waited for while others are held, so no writer ends in a deadlock.
 */
async function lock(query: Query, tables: readonly TableRow[]): Promise<void> {
  if (tables.length === 0) return;
  const statement = `lock table ${tables.map(({ qualified }) => qualified).join(', ')} in access exclusive mode nowait`;
  const end = performance.now() + LOCK_MS;
  for (;;) {
    await query('savepoint change_feed_lock');
    try {
      await query(statement);
      await query('release savepoint change_feed_lock');
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== LOCK_NOT_AVAILABLE) throw error;
      await query('rollback to savepoint change_feed_lock');
      if (performance.now() > end) {
        const [, relation = 'a table'] = /relation "(.*)"/.exec((error as Error).message) ?? [];
        throw new OperatorError(
          `Could not lock ${relation} within ${LOCK_MS / 1000} s: another transaction works on it. End that one, or try again.`,
        );
      }
      await delay(PAUSE_MS);
    }
  }
}
