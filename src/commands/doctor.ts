import { styleText } from 'node:util';
import { examine } from '../doctor/examine.js';
import type { Finding } from '../doctor/finding.js';
import { connectToDatabase, databaseAddresses } from './database.js';

const COLOURS = { ok: 'green', info: 'blue', warn: 'yellow', fail: 'red' } as const;

/**
 * Looks for whatever keeps changes from arriving, and says of each what to run. Changes nothing. Exit code 1 when
 * something fails, for CI.
 * @param tables that have to be watched.
 * @throws {OperatorError} when the database can't be used at all.
 */
export async function doctor(tables: readonly string[], { json }: { readonly json: boolean }): Promise<void> {
  const addresses = databaseAddresses();
  const client = await connectToDatabase('doctor');
  const findings = await examine(client, addresses, tables).finally(() => client.end());
  console.log(json ? JSON.stringify(findings, null, 2) : findings.flatMap(linesOf).join('\n'));
  if (findings.some(({ level }) => level === 'fail')) process.exitCode = 1;
}

function linesOf({ level, about, says, cure }: Finding): string[] {
  const label = styleText(COLOURS[level], level.padEnd(4), { stream: process.stdout, validateStream: true });
  return [`${label}  ${about}: ${says}`, ...(cure ? [`      ${cure}`] : [])];
}
