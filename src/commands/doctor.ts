import { styleText } from 'node:util';
import { checkPooler, checkRoundTrip } from '../doctor/connection.js';
import type { Check, Finding } from '../doctor/finding.js';
import { checkFunctions, checkSchema } from '../doctor/schema.js';
import { checkLog, checkOpenTransactions, checkServer } from '../doctor/server.js';
import { checkForeignTriggers, checkRecorders, checkTables, checkTriggers } from '../doctor/tables.js';
import { connectToDatabase, databaseAddresses } from './database.js';

const COLOURS = { ok: 'green', info: 'blue', warn: 'yellow', fail: 'red' } as const;

/**
 * Looks for whatever keeps changes from arriving, and says of each what to run. Changes nothing. Exit code 1 when
 * something fails, for CI.
 * @param tables that have to be watched.
 * @throws {OperatorError} when the database can't be used at all.
 */
export async function doctor(tables: readonly string[], { json }: { readonly json: boolean }): Promise<void> {
  const { url, listenUrl } = await databaseAddresses();
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
    const findings = [...(await checkServer(client)), ...(await checkSchema(client))];
    if (findings.some(({ about, level }) => about === 'schema change_feed' && level === 'fail')) return findings;
    const checks: Check[] = [
      checkFunctions,
      checkTriggers,
      checkRecorders,
      checkForeignTriggers,
      checkTables(tables),
      checkLog,
      checkOpenTransactions,
    ];
    for (const check of checks) findings.push(...(await check(client)));
    return findings;
  } finally {
    await client.end();
  }
}

function linesOf({ level, about, says, cure }: Finding): string[] {
  const label = styleText(COLOURS[level], level.padEnd(4), { stream: process.stdout, validateStream: true });
  return [`${label}  ${about}: ${says}`, ...(cure ? [`      ${cure}`] : [])];
}
