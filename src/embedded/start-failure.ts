import { setTimeout as delay } from 'node:timers/promises';
import { OperatorError } from '../operator-error.js';
import { type Holder, isAlive, readInstanceFile } from './holder.js';
import { PortInUseError } from './port.js';

/** The longest wait for the note of who runs Postgres, in ms: its start lies between its lock and the note. */
const NOTE_MS = 2000;

/**
 * Finds out why Postgres has ended at once, from its messages (their language is pinned to English).
 * @returns a {@link PortInUseError} when that is the reason, and else a sentence that ends with its last lines.
 */
export async function startFailure(log: string, dataDir: string, port: number): Promise<OperatorError> {
  if (/lock file "postmaster\.pid" already exists|pre-existing shared memory block/.test(log)) {
    const pid = Number(/\(PID (\d+)\)/.exec(log)?.[1]);
    const holder = await instanceOf(dataDir, pid);
    return new OperatorError(
      `DATA_DIR ${dataDir} is in use by ${describeInstance(pid, holder)}: stop that one, or set DATA_DIR, EMBEDDED_PORT and PORT to others.`,
    );
  }
  if (/could not bind[^\n]*Permission denied/.test(log)) {
    return new OperatorError(`Postgres may not listen on port ${port}: set EMBEDDED_PORT to one from 1024.`);
  }
  if (/could not bind|could not create any TCP\/IP sockets/.test(log)) {
    return new PortInUseError(
      `Port ${port} on 127.0.0.1 is in use: set EMBEDDED_PORT to another, or to 0 for any free one.`,
    );
  }
  const last = log.trim().split('\n').slice(-3).join(' ');
  return new OperatorError(`The embedded Postgres in ${dataDir} did not start: ${last || 'it said nothing'}`);
}

/** Explains an error that a person can mend: a right, or space, that DATA_DIR lacks. Any other error stays what it is. */
export function dataDirFailure(error: unknown, dataDir: string): unknown {
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (/^(ENOSPC|EDQUOT)$/.test(code))
    return new OperatorError(`DATA_DIR: the disk of ${dataDir} is full (${message}).`);
  if (!/^(EACCES|EPERM|EROFS|EEXIST|ENOTDIR)$/.test(code)) return error;
  return new OperatorError(
    `DATA_DIR: ${dataDir} can't be used (${message}): set it to a folder that you may write to.`,
  );
}

/** The note of that Postgres, which follows soon when it is just starting; any other note is from before. */
async function instanceOf(dataDir: string, postgresPid: number): Promise<Holder | undefined> {
  for (const latest = performance.now() + NOTE_MS; ; await delay(20)) {
    const holder = await readInstanceFile(dataDir);
    if (holder?.postgresPid === postgresPid) return holder;
    if (performance.now() > latest || Number.isNaN(postgresPid) || !isAlive(postgresPid)) return undefined;
  }
}

function describeInstance(pid: number, holder: Holder | undefined): string {
  if (holder) return `process ${holder.serverPid} (Postgres on port ${holder.port}, since ${holder.since})`;
  return Number.isNaN(pid) ? 'another Postgres' : `another Postgres, process ${pid}`;
}
