import type pg from 'pg';
import { type Addresses, checkPooler, checkRoundTrip } from './connection.js';
import { checkEncoding, checkEpoch, checkPublications } from './database.js';
import { checkExchanged } from './exchanged.js';
import { type Check, type Finding, guarded } from './finding.js';
import { checkNewTables } from './new-tables.js';
import { checkOwners, checkRowSecurity, checkStrangers } from './owners.js';
import { checkFunctions, checkSchema } from './schema.js';
import { checkLog, checkOpenTransactions, checkServer } from './server.js';
import { checkServerRights } from './server-rights.js';
import { checkForeignMembers, checkForeignTriggers, checkRecorders, checkTables, checkTriggers } from './tables.js';

/**
 * Looks for all that keeps changes from arriving, and changes nothing.
 * @param client a session of the database's user; its `row_security` is switched off.
 * @param tables that have to be watched.
 */
export async function examine(client: pg.Client, addresses: Addresses, tables: readonly string[]): Promise<Finding[]> {
  return [
    ...(await lookInside(client, tables)),
    ...(await checkPooler(addresses)),
    ...(await checkRoundTrip(addresses)),
  ];
}

async function lookInside(client: pg.Client, tables: readonly string[]): Promise<Finding[]> {
  // Row level security on the log is an error then, and not an empty answer.
  await client.query('set row_security = off');
  const findings = await guarded('Postgres', checkServer)(client);
  // A standby cannot read the tables that are not in its WAL, and no server can run there.
  if (findings.some(({ about, level }) => about === 'Postgres' && level === 'fail')) return findings;
  findings.push(...(await guarded('schema change_feed', checkSchema)(client)));
  const usable = !findings.some(({ about, level }) => about === 'schema change_feed' && level === 'fail');
  for (const [about, check] of usable ? [...ANYWHERE, ...insideSchema(tables)] : ANYWHERE) {
    findings.push(...(await guarded(about, check)(client)));
  }
  return findings;
}

/** Checks that need no schema. */
const ANYWHERE: readonly [string, Check][] = [
  ['functions', checkFunctions],
  ['encoding', checkEncoding],
  ['open transactions', checkOpenTransactions],
];

/** Checks that need the schema of this version. */
function insideSchema(tables: readonly string[]): readonly [string, Check][] {
  return [
    ['owners', checkOwners],
    ['row level security', checkRowSecurity],
    ['rights', checkServerRights],
    ['rights', checkStrangers],
    ['triggers', checkTriggers],
    ['triggers', checkRecorders],
    ['triggers', checkForeignMembers],
    ['triggers', checkForeignTriggers],
    ['triggers', checkExchanged],
    ['new tables', checkNewTables],
    ['tables', checkTables(tables)],
    ['publications', checkPublications],
    ['epoch', checkEpoch],
    ['log', checkLog],
  ];
}
