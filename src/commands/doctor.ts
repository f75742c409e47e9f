import { styleText } from 'node:util';
import { checkPooler, checkRoundTrip } from '../doctor/connection.js';
import { checkEncoding, checkEpoch, checkPublications } from '../doctor/database.js';
import { type Check, type Finding, guarded } from '../doctor/finding.js';
import { checkOwners, checkRowSecurity, checkStrangers } from '../doctor/owners.js';
import { checkFunctions, checkSchema } from '../doctor/schema.js';
import { checkLog, checkOpenTransactions, checkServer } from '../doctor/server.js';
import { checkServerRights } from '../doctor/server-rights.js';
import {
  checkForeignMembers,
  checkForeignTriggers,
  checkRecorders,
  checkTables,
  checkTriggers,
} from '../doctor/tables.js';
import { connectToDatabase, databaseAddresses } from './database.js';

const COLOURS = { ok: 'green', info: 'blue', warn: 'yellow', fail: 'red' } as const;

/**
 * Looks for whatever keeps changes from arriving, and says of each what to run. Changes nothing. Exit code 1 when
 * something fails, for CI.
 * @param tables that have to be watched.
 * @throws {OperatorError} when the database can't be used at all.
 */
export async function doctor(tables: readonly string[], { json }: { readonly json: boolean }): Promise<void> {
  const { url, listenUrl } = databaseAddresses();
  const findings = [
    ...(await lookInside(tables)),
    ...(await checkPooler(listenUrl)),
    ...(await checkRoundTrip(url, listenUrl)),
  ];
  console.log(json ? JSON.stringify(findings, null, 2) : findings.flatMap(linesOf).join('\n'));
  if (findings.some(({ level }) => level === 'fail')) process.exitCode = 1;
}

async function lookInside(tables: readonly string[]): Promise<Finding[]> {
  const client = await connectToDatabase('doctor');
  try {
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
  } finally {
    await client.end();
  }
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
    ['tables', checkTables(tables)],
    ['publications', checkPublications],
    ['epoch', checkEpoch],
    ['log', checkLog],
  ];
}

function linesOf({ level, about, says, cure }: Finding): string[] {
  const label = styleText(COLOURS[level], level.padEnd(4), { stream: process.stdout, validateStream: true });
  return [`${label}  ${about}: ${says}`, ...(cure ? [`      ${cure}`] : [])];
}
