import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packageRoot } from '../package-root.js';
import type { Query } from './schema-state.js';

/** The watched tables and the rights that survive when the schema is made anew. */
export interface Kept {
  readonly watched: readonly WatchedRow[];
  readonly grants: readonly GrantRow[];
  /** True where everything belongs to the user who made the schema, for there is no role change_feed_owner. */
  readonly withoutRole: boolean;
  /** The settings of watch_all() for new tables; undefined where they are not watched. */
  readonly future: FutureRow | undefined;
}

interface FutureRow {
  omit: string[];
  keys: boolean;
}

interface WatchedRow {
  /** The table's oid. */
  relation: string;
  resource: string | null;
  keys: boolean;
  /** JSON: a list of {"columns": […]}. */
  scopes: string | null;
}

interface GrantRow {
  /** `schema`, `table`, `sequence` or `function`. */
  kind: string;
  /** Qualified, with the types of a function's arguments. */
  name: string;
  grantee: string;
  statement: string;
}

/** An argument of a trigger, from its second on: each ends with a zero byte. */
const argument = (place: number) => `convert_from(decode(split_part(
  regexp_replace(encode(t.tgargs, 'hex'), '(..)', E'\\\\1 ', 'g'), '00 ', ${place}), 'hex'), getdatabaseencoding())`;

/**
 * The watched tables, from their triggers, which have had the same form in every version: a broken recorder or view says
 * nothing. A table that has one of the four triggers is watched; a partition is watched through its parent.
 */
const WATCHED = `
  with watched as (
    select t.tgrelid as relation,
      min(convert_from(substring(t.tgargs from 1 for position(decode('00', 'hex') in t.tgargs) - 1), getdatabaseencoding()))
        filter (where t.tgnargs > 0) as resource,
      bool_or(coalesce(t.tgnewtable, t.tgoldtable) is not null and (t.tgnargs < 3 or ${argument(3)} = 't')) as keys,
      min(${argument(2)}) filter (where t.tgnargs > 1) as scopes
    from pg_catalog.pg_trigger t
    join pg_catalog.pg_proc p on p.oid = t.tgfoid
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'change_feed' and starts_with(t.tgname, 'change_feed_') and not t.tgisinternal
    group by t.tgrelid
  )
  select w.relation::int8::text as relation, w.resource, w.keys, w.scopes from watched w
  where not exists (
    select from pg_catalog.pg_partition_ancestors(w.relation) a join watched p on p.relation = a.relid
    where a.relid <> w.relation)
  order by w.relation`;

/** Rights on the schema and its objects that others than their owner have. */
const GRANTS = `
  with object as (
    select 'schema' as kind, quote_ident(n.nspname) as name, n.nspowner as owner, n.nspacl as acl
    from pg_catalog.pg_namespace n where n.nspname = 'change_feed'
    union all
    select case c.relkind when 'S' then 'sequence' else 'table' end, format('change_feed.%I', c.relname), c.relowner, c.relacl
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'change_feed' and c.relkind in ('r', 'p', 'v', 'm', 'S')
    union all
    select 'function', format('change_feed.%I(%s)', p.proname, pg_catalog.oidvectortypes(p.proargtypes)), p.proowner, p.proacl
    from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace where n.nspname = 'change_feed'
  )
  select o.kind, o.name, r.rolname as grantee, format('grant %s on %s %s to %I%s', string_agg(a.privilege_type, ', '),
    o.kind, o.name, r.rolname, case when a.is_grantable then ' with grant option' end) as statement
  from object o cross join aclexplode(o.acl) a join pg_catalog.pg_roles r on r.oid = a.grantee
  where a.grantee <> o.owner and r.rolname <> 'change_feed_owner'
  group by o.kind, o.name, r.rolname, a.is_grantable`;

/** Reads from a schema of any version what has to survive it. @throws what Postgres says where a right is missing. */
export async function keep(query: Query): Promise<Kept> {
  const watched = await query<WatchedRow>(WATCHED);
  const grants = await query<GrantRow>(GRANTS);
  const [table] = await query<{ there: boolean }>(
    `select exists (select from pg_catalog.pg_tables where schemaname = 'change_feed' and tablename = 'future_rule') as there`,
  );
  const [future] = table?.there ? await query<FutureRow>('select omit, keys from change_feed.future_rule') : [];
  const [owner] = await query<{ source: string }>(
    `select p.prosrc as source from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
      where n.nspname = 'change_feed' and p.proname = 'feed_owner'`,
  );
  const withoutRole = owner !== undefined && !owner.source.includes(`'change_feed_owner'`);
  return { watched, grants, future, withoutRole };
}

/**
 * Watches the same tables again, under the same names, and grants the same rights on what is still there.
 * @throws what change_feed.watch() says of a table that it refuses.
 */
export async function carryOver(query: Query, { watched, grants, future }: Kept): Promise<void> {
  for (const { relation, resource, keys, scopes } of watched) {
    const declared = (JSON.parse(scopes ?? '[]') as { columns: string[] }[]).map(({ columns }) =>
      columns.map(encodeURIComponent).join('&'),
    );
    await query(
      'select change_feed.watch($1::oid::regclass, $2, $3, array(select json_array_elements_text($4::json)))',
      [relation, resource, keys, JSON.stringify(declared)],
    );
  }
  if (future) {
    await query('select change_feed.watch_future(array(select json_array_elements_text($1::json)), $2)', [
      JSON.stringify(future.omit),
      future.keys,
    ]);
  }
  for (const { kind, name, statement } of grants) {
    const lookUp = kind === 'schema' ? 'to_regnamespace' : kind === 'function' ? 'to_regprocedure' : 'to_regclass';
    const [found] = await query<{ there: boolean }>(`select ${lookUp}($1) is not null as there`, [name]);
    if (found?.there) await query(statement);
  }
  // The functions that are new in this version, too.
  if (grants.some(({ grantee }) => grantee === 'change_feed_server')) {
    await query(await readFile(join(packageRoot, 'sql', 'roles', 'server.sql'), 'utf8'));
  }
}
