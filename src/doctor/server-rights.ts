import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packageRoot } from '../package-root.js';
import type { Check, Finding } from './finding.js';

const GRANT = /^grant (select|execute) on\s+(?:function\s+)?([^;]*?)\s+to change_feed_server;/gm;

const MISSING = `
  select n.role, string_agg(format('%s on %s', n.privilege, n.object), ', ') as missing
  from (
    select w.role, n.* from (
      select current_user::text as role
      union select rolname from pg_roles where rolname = 'change_feed_server' and has_schema_privilege(oid, 'change_feed', 'USAGE')
    ) w cross join unnest($1::text[], $2::text[]) as n (privilege, object)
  ) n
  where not case n.privilege when 'select' then has_table_privilege(n.role, n.object, 'SELECT')
    else has_function_privilege(n.role, n.object, 'EXECUTE') end
  group by n.role`;

/**
 * The rights of sql/roles/server.sql: of the session's user, which may be the server's, and of the role that the file
 * makes, which lacks those on objects that are newer.
 */
export const checkServerRights: Check = async (client) => {
  const text = await readFile(join(packageRoot, 'sql', 'roles', 'server.sql'), 'utf8');
  const needed = [...text.matchAll(GRANT)].flatMap(([, privilege = '', objects = '']) =>
    objects.split(/,\s*(?![^(]*\))/).map((object) => ({ privilege, object })),
  );
  const { rows } = await client.query<{ role: string; missing: string }>(MISSING, [
    needed.map(({ privilege }) => privilege),
    needed.map(({ object }) => object),
  ]);
  if (rows.length === 0) {
    return [{ level: 'ok', about: 'rights', says: `${client.user} has those that the server needs` }];
  }
  return rows.map(
    ({ role, missing }): Finding => ({
      level: 'fail',
      about: 'rights',
      says: `${role} lacks what the server needs: ${missing}`,
      cure:
        role === 'change_feed_server'
          ? 'apply sql/roles/server.sql again'
          : `apply sql/roles/server.sql, then: grant change_feed_server to ${client.escapeIdentifier(role)}`,
    }),
  );
};
