import { setTimeout as delay } from 'node:timers/promises';
import { OperatorError } from '../operator-error.js';
import { postgresErrorOf } from './migration-database.js';
import type { Query } from './schema-state.js';
import { shippedSchema } from './shipped-schema.js';

/** The time after which the locks of all tables are given up, in ms. */
const LOCK_MS = 10_000;
/** The time that one attempt waits for them, in ms: writers queue behind it meanwhile. */
const ATTEMPT_MS = 500;
/** The time between two attempts, in ms: writers continue meanwhile. */
const PAUSE_MS = 100;
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
 * @throws {OperatorError} where the schema contains something of others, or something depends on it, where a watched table
 * belongs to another role, and where the tables cannot be locked within 10 s.
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
      `The schema change_feed cannot be dropped: drop the ${dependent.name}, which depends on it, first, and make it again afterwards.`,
    );
  }
  const foreign = tables.find(({ ours, owned }) => !ours && !owned);
  if (foreign) {
    throw new OperatorError(
      `Only the owner of ${foreign.qualified} may change its triggers: run this as the owner of all watched tables, or as a superuser.`,
    );
  }
  for (const { statement } of await query<{ statement: string }>(DEFERRED)) await query(statement);
  await lock(query, tables);
  await query('drop schema change_feed cascade');
}

/**
 * Takes the locks of all tables, or none. An attempt ends before Postgres looks for deadlocks (deadlock_timeout, 1 s unless
 * it is set): a writer that waits for one table while it holds another must not be the one that fails.
 */
async function lock(query: Query, tables: readonly TableRow[]): Promise<void> {
  const end = performance.now() + LOCK_MS;
  for (;;) {
    await query('savepoint change_feed_lock');
    try {
      await query(lockAll(tables));
      await query('release savepoint change_feed_lock');
      return;
    } catch (error) {
      if (postgresErrorOf(error)?.code !== LOCK_NOT_AVAILABLE) throw error;
      await query('rollback to savepoint change_feed_lock');
      if (performance.now() > end) {
        throw new OperatorError(
          `Could not lock ${tableIn(error as Error)} within ${LOCK_MS / 1000} s: another transaction works on it. End that one, or try again.`,
        );
      }
      await delay(PAUSE_MS);
    }
  }
}

/** One statement, so that an attempt takes no longer over a slow network. */
function lockAll(tables: readonly TableRow[]): string {
  const names = tables.map(({ qualified }) => `'${qualified.replaceAll("'", "''")}'`).join(', ');
  return `do $lock$
    declare
      name text;
      before constant text := current_setting('lock_timeout');
      ends constant timestamptz := clock_timestamp() + interval '${ATTEMPT_MS} ms';
    begin
      foreach name in array array[${names}]::text[] loop
        perform set_config('lock_timeout', greatest(1, extract(epoch from ends - clock_timestamp()) * 1000)::int::text, true);
        execute 'lock table ' || name || ' in access exclusive mode';
      end loop;
      perform set_config('lock_timeout', before, true);
    end $lock$`;
}

/** Finds the table of a failed LOCK in the context of the error, which contains the statement. */
function tableIn(error: Error): string {
  const where = 'where' in error ? String(error.where) : '';
  return /lock table (.*) in access exclusive mode/.exec(where)?.[1] ?? 'all tables';
}
