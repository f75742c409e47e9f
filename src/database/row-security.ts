import type { Query } from './schema-state.js';

/** Tables of the feed with row level security, and those of them that it hides from the current user. */
const GUARDED = `
  select format('change_feed.%I', c.relname) as name,
    pg_catalog.row_security_active(c.oid) or c.relforcerowsecurity as hidden
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'change_feed' and c.relrowsecurity
  order by c.relname`;

/** A table of the feed with row level security. */
export interface GuardedTable {
  /** Qualified. */
  readonly name: string;
  /** True where the current user, or the owner of the feed, reads only what policies allow. */
  readonly hidden: boolean;
}

/** The tables of the feed that have row level security. Needs no right on them. @throws what the query throws. */
export function guardedTables(query: Query): Promise<GuardedTable[]> {
  return query<GuardedTable>(GUARDED);
}

/** The statement that ends row level security on a table. */
export function rowSecurityCure(name: string): string {
  return `alter table ${name} disable row level security, no force row level security`;
}

/**
 * The reason why the current user cannot read the feed's tables, as one sentence that says what to run.
 * @returns undefined where it can.
 */
export async function rowSecurityFault(query: Query): Promise<string | undefined> {
  const hidden = (await guardedTables(query)).filter((table) => table.hidden);
  if (hidden.length === 0) return undefined;
  const names = hidden.map(({ name }) => name).join(', ');
  const cures = hidden.map(({ name }) => `${rowSecurityCure(name)};`).join(' ');
  return `Row level security hides the feed's tables from this user (${names}): as their owner or a superuser run: ${cures}`;
}
