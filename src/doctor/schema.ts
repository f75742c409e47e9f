import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packageRoot } from '../package-root.js';
import type { Check, Finding } from './finding.js';

const MIGRATE = 'pg-change-feed migrate';
const FUNCTION = /^create (?:or replace )?function change_feed\.(\w+)\([\s\S]*?\bas (\$\w*\$)([\s\S]*?)\2;/gm;

/** Whether the schema is there at all. */
export const checkSchema: Check = async (client) => {
  // to_regclass() of a name in a schema that one may not use raises
  const { rows } = await client.query(`select
    exists (select from pg_class where relname = 'change' and relnamespace = to_regnamespace('change_feed')) as there,
    coalesce(has_schema_privilege(to_regnamespace('change_feed'), 'USAGE'), false) as usable`);
  const { there, usable } = rows[0];
  if (there && usable) return [];
  const about = 'schema change_feed';
  return [
    there
      ? {
          level: 'fail',
          about,
          says: `the user ${client.user} may not use it`,
          cure: `grant change_feed_owner to ${client.user}`,
        }
      : { level: 'fail', about, says: 'the database does not have it', cure: MIGRATE },
  ];
};

/** Whether the database's functions are those of this version: each body is compared with the files of sql/. */
export const checkFunctions: Check = async (client) => {
  const shipped = await shippedFunctions();
  const { rows } = await client.query<{ name: string; body: string }>(
    `select proname as name, prosrc as body from pg_proc where pronamespace = 'change_feed'::regnamespace`,
  );
  const present = new Map(rows.map(({ name, body }) => [name, body]));
  const differing = [...shipped].filter(([name, body]) => present.get(name) !== body).map(([name]) => name);
  if (differing.length === 0) {
    return [{ level: 'ok', about: 'functions', says: `all ${shipped.size} are those of this version` }];
  }
  return differing.map(
    (name): Finding => ({
      level: 'fail',
      about: 'functions',
      says: present.has(name)
        ? `change_feed.${name}() is not that of this version`
        : `change_feed.${name}() is missing`,
      cure: `${MIGRATE}; if that does not help, somebody has changed it by hand: apply it again from sql/`,
    }),
  );
};

async function shippedFunctions(): Promise<Map<string, string>> {
  const folder = join(packageRoot, 'sql');
  const files = (await readdir(folder)).filter((name) => name.endsWith('.sql'));
  const texts = await Promise.all(files.map((name) => readFile(join(folder, name), 'utf8')));
  return new Map(
    texts.flatMap((text) => [...text.matchAll(FUNCTION)].map(([, name = '', , body = '']) => [name, body])),
  );
}
