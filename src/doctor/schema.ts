import { queryOf } from '../database/migration-database.js';
import { type SchemaState, schemaFault, schemaState } from '../database/schema-state.js';
import { SCHEMA_VERSION, shippedSchema } from '../database/shipped-schema.js';
import type { Check, Finding } from './finding.js';

const MIGRATE = 'pg-change-feed migrate';

/** The schema: there, of this version, applied to its end, and usable by the session's user. */
export const checkSchema: Check = async (client) => {
  const state = await schemaState(queryOf(client));
  const about = 'schema change_feed';
  const [says, command] = sentences(state);
  if (says) return [{ level: 'fail', about, says, cure: command ?? MIGRATE }];
  const { rows } = await client.query(`select has_schema_privilege('change_feed', 'USAGE') as usable`);
  if (!rows[0].usable) {
    return [
      {
        level: 'fail',
        about,
        says: `the user ${client.user} may not use it`,
        cure: `grant change_feed_server to ${client.escapeIdentifier(client.user ?? '')}, the role of sql/roles/server.sql`,
      },
    ];
  }
  return [];
};

/** The fault as a finding says it, in two parts: what is wrong, and what to run. */
function sentences(state: SchemaState): [says?: string | undefined, command?: string | undefined] {
  if (state.kind === 'none') return ['the database does not have it'];
  const [, says, command] = /^(.*): (.*)\.$/.exec(schemaFault(state) ?? '') ?? [];
  return [says && says.charAt(0).toLowerCase() + says.slice(1), command?.replace(/^run `(.*)`$/, '$1')];
}

/** The functions: each body is compared with the files of sql/. */
export const checkFunctions: Check = async (client) => {
  const state = await schemaState(queryOf(client), { bodies: true });
  const { bodies } = await shippedSchema();
  if (state.kind === 'partial') {
    const missing = [...bodies.keys()].filter((name) => state.lacks.includes(`change_feed.${name}`));
    return missing.map(
      (name): Finding => ({
        level: 'fail',
        about: 'functions',
        says: `change_feed.${name}() is missing`,
        cure: MIGRATE,
      }),
    );
  }
  if (state.kind !== 'current') return [];
  if (state.differs.length === 0) {
    return [{ level: 'ok', about: 'functions', says: `all ${bodies.size} are those of version ${SCHEMA_VERSION}` }];
  }
  return state.differs.map(
    (name): Finding => ({
      level: 'fail',
      about: 'functions',
      says: `change_feed.${name}() is not that of this version`,
      cure: MIGRATE,
    }),
  );
};
