import { packageVersion } from '../package-root.js';
import { SCHEMA_VERSION, shippedSchema } from './shipped-schema.js';

/** Runs a statement and returns its rows: a session of pg, the log's, or a migration's. */
export type Query = <Row extends object>(text: string, values?: unknown[]) => Promise<Row[]>;

/** The schema `change_feed` of a database, compared with the one that this code works with. */
export type SchemaState =
  /** There is none, or it is empty. */
  | { readonly kind: 'none' }
  /** A schema of that name holds nothing of ours. */
  | { readonly kind: 'foreign' }
  /** It was made before the schema had a version. */
  | { readonly kind: 'unversioned' }
  | { readonly kind: 'older' | 'newer'; readonly version: number }
  /** Files of sql/ were not applied, or not to their end. `lacks`: names of objects or files. */
  | { readonly kind: 'partial'; readonly lacks: readonly string[] }
  /** `differs`: functions that are not those of sql/, because somebody has changed them; none where bodies are not compared. */
  | { readonly kind: 'current'; readonly differs: readonly string[] };

interface Catalog {
  functions: Record<string, string | null>;
  relations: string[];
  isours: boolean;
  readable: boolean;
}

/**
 * Reads catalogs alone, which every role may, also one without rights on the schema. Without the recorders: they hold names
 * of tables, which Postgres cannot send where they are not of the database's encoding. $1: with the bodies of all functions,
 * which take ten times as long to send; each server asks every minute.
 */
const CATALOG = `
  select
    coalesce((select json_object_agg(p.proname, case when $1 or p.proname = 'schema_version' then p.prosrc end) from pg_catalog.pg_proc p
      where p.pronamespace = n.oid and not pg_catalog.starts_with(p.proname::text, 'record_')), '{}') as functions,
    array(select c.relname::text from pg_catalog.pg_class c
      where c.relnamespace = n.oid and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')) as relations,
    exists (select from pg_catalog.pg_class c join pg_catalog.pg_attribute a on a.attrelid = c.oid
      where c.relnamespace = n.oid and c.relname = 'change' and a.attname = 'resource') as isours,
    coalesce((select pg_catalog.has_schema_privilege(n.oid, 'USAGE') and pg_catalog.has_table_privilege(c.oid, 'SELECT')
        and not pg_catalog.row_security_active(c.oid)
      from pg_catalog.pg_class c join pg_catalog.pg_attribute a on a.attrelid = c.oid
      where c.relnamespace = n.oid and c.relname = 'sql_file' and a.attname = 'ended_at'), false) as readable
  from pg_catalog.pg_namespace n where n.nspname = 'change_feed'`;
/** A dump may have left the rows out: what a file makes tells whether it was begun. */
const UNENDED_FILES = 'select name from change_feed.sql_file where ended_at is null order by name';

/**
 * Compares the schema of a database with the files of sql/. Needs no right on it.
 * @param options `bodies`: compares those of the functions, too, for `differs`. Default false.
 * @throws what the query throws.
 */
export async function schemaState(query: Query, { bodies = false } = {}): Promise<SchemaState> {
  const [catalog] = await query<Catalog>(CATALOG, [bodies]);
  if (!catalog) return { kind: 'none' };
  const { functions, relations, isours, readable } = catalog;
  const present = new Set([...Object.keys(functions), ...relations]);
  if (present.size === 0) return { kind: 'none' };
  const versionSource = functions.schema_version;
  if (versionSource === undefined && !present.has('ensure_owner')) return { kind: isours ? 'unversioned' : 'foreign' };

  const version = Number(/\d+/.exec(versionSource ?? '')?.[0] ?? SCHEMA_VERSION);
  if (version !== SCHEMA_VERSION) return { kind: version < SCHEMA_VERSION ? 'older' : 'newer', version };
  const shipped = await shippedSchema();
  const lacks = shipped.objects.filter((name) => !present.has(name)).map((name) => `change_feed.${name}`);
  if (lacks.length > 0) return { kind: 'partial', lacks };
  if (readable) {
    const unended = await query<{ name: string }>(UNENDED_FILES);
    if (unended.length > 0) return { kind: 'partial', lacks: unended.map(({ name }) => `the end of ${name}`) };
  }
  return {
    kind: 'current',
    differs: [...shipped.bodies].filter(([name, body]) => bodies && functions[name] !== body).map(([name]) => name),
  };
}

/**
 * The reason why this code cannot work with a schema, as one sentence that says what to run.
 * @returns undefined where it can.
 */
export function schemaFault(state: SchemaState): string | undefined {
  switch (state.kind) {
    case 'none':
      return 'The database has no schema change_feed: run `pg-change-feed migrate` first.';
    case 'foreign':
      return 'The schema change_feed of this database was not made by pg-change-feed: rename it, then run `pg-change-feed migrate`.';
    case 'unversioned':
      return 'The schema change_feed was made by an earlier build of pg-change-feed: run `pg-change-feed migrate`.';
    case 'older':
      return `The schema change_feed is of version ${state.version}, and this build needs version ${SCHEMA_VERSION}: run \`pg-change-feed migrate\`.`;
    case 'newer':
      return (
        `This build of pg-change-feed (${packageVersion}) is older than the schema change_feed, which is of version ` +
        `${state.version} and not ${SCHEMA_VERSION}: install the build that made the schema.`
      );
    case 'partial':
      return `The schema change_feed was applied in part, ${listed(state.lacks)} missing: run \`pg-change-feed migrate\`.`;
    case 'current':
      return undefined;
  }
}

/** The first of some names, with a verb. */
function listed(names: readonly string[]): string {
  const [first = ''] = names;
  return names.length === 1 ? `${first} is` : `${first} and ${names.length - 1} more are`;
}
