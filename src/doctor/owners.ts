import { queryOf } from '../database/migration-database.js';
import { guardedTables, rowSecurityCure } from '../database/row-security.js';
import type { Check, Finding } from './finding.js';

/** Owners and rights of the schema and its objects: with others a recorder cannot write the log, and writes fail. */
export const checkOwners: Check = async (client) => {
  const { rows } = await client.query<{ fault: string }>(
    'select fault from change_feed.owner_fault order by place, fault',
  );
  const [first] = rows;
  if (!first) {
    const { rows: owner } = await client.query<{ name: string }>('select change_feed.feed_owner() as name');
    return [{ level: 'ok', about: 'owners', says: `all belongs to ${owner[0]?.name}` }];
  }
  const more = rows.length > 1 ? `, and ${rows.length - 1} more faults are in change_feed.owner_fault` : '';
  return [
    {
      level: 'fail',
      about: 'owners',
      says: `${first.fault}${more}: changes cannot be recorded, or with rights that the recorder should not have`,
      cure: 'select change_feed.repair()',
    },
  ];
};

/** Row level security on the feed's tables: a server that is not their owner reads nothing then. */
export const checkRowSecurity: Check = async (client) => {
  const tables = await guardedTables(queryOf(client));
  if (tables.length === 0) return [{ level: 'ok', about: 'row level security', says: "none on the feed's tables" }];
  return tables.map(({ name }) => ({
    level: 'fail',
    about: 'row level security',
    says: `it is on for ${name}, and hides the table from servers`,
    cure: rowSecurityCure(name),
  }));
};

/** Rights of others to write the log, and of everybody to call the feed's functions: they could forge or remove changes. */
export const checkStrangers: Check = async (client) => {
  const { rows } = await client.query<{ right: string; cure: string }>(`
    with feed_right as (
      select c.relowner as owner, a.grantee, a.privilege_type as name, 'table' as kind, format('change_feed.%I', c.relname) as object
      from pg_class c cross join aclexplode(c.relacl) a
      where c.relnamespace = 'change_feed'::regnamespace and c.relkind in ('r', 'p', 'v')
        and a.privilege_type in ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER')
      union all
      select p.proowner, a.grantee, a.privilege_type, 'function', p.oid::regprocedure::text
      from pg_proc p cross join aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
      where p.pronamespace = 'change_feed'::regnamespace and a.grantee = 0
    )
    select format('%s has the right to %s on %s', case r.grantee when 0 then 'everybody' else pg_get_userbyid(r.grantee) end,
        lower(r.name collate "C"), r.object) as right,
      format('revoke %s on %s %s from %s', lower(r.name collate "C"), r.kind, r.object,
        case r.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(r.grantee)) end) as cure
    from feed_right r where r.grantee <> r.owner and pg_get_userbyid(r.grantee) <> change_feed.feed_owner()
    order by 1`);
  return rows.map(({ right, cure }): Finding => ({ level: 'warn', about: 'rights', says: right, cure }));
};
