import { spawnSync } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isAlive, readInstanceFile } from './holder.js';

/** A fast shutdown that takes longer than this, in ms, becomes an immediate one. */
const FAST_SHUTDOWN_MS = 10_000;

/** The longest time between the end of a process' memory and its own, in ms. */
const EXIT_MS = 1000;

/** Postgres' own lock of a cluster, `postmaster.pid`, as far as it matters here. */
export interface Lock {
  /** The process that it names; it may be gone, and its number another's. */
  readonly pid: number;
  /** Connections are accepted. */
  readonly ready: boolean;
}

/** The lock of a cluster; undefined when there is none: its Postgres was stopped, or never started. */
export async function readLock(clusterFolder: string): Promise<Lock | undefined> {
  const lines = (await readFile(lockFile(clusterFolder), 'utf8').catch(() => '')).split('\n');
  const pid = Number(lines[0]);
  return Number.isInteger(pid) && pid > 0 ? { pid, ready: lines[7]?.trim() === 'ready' } : undefined;
}

/**
 * Frees a cluster from what a crash has left: stops a Postgres whose supervisor was killed, waits for one that is
 * stopping because its server was killed, and takes away a lock whose pid now belongs to another program.
 * A Postgres that is in use keeps its lock.
 */
export async function releaseCluster(dataDir: string, clusterFolder: string): Promise<void> {
  const lock = await readLock(clusterFolder);
  if (!lock || !isAlive(lock.pid)) return; // Postgres itself sees through the lock of a dead process
  if (!isPostgres(await commandOf(lock.pid))) {
    // Postgres would take that other process for its predecessor, and refuse to start for as long as it lives.
    await rm(lockFile(clusterFolder), { force: true });
    return;
  }
  const holder = await readInstanceFile(dataDir);
  if (holder?.postgresPid !== lock.pid) return;
  const supervised =
    (await commandOf(holder.supervisorPid))?.some((word) => basename(word) === 'supervisor.js') ?? true;
  if (supervised && isAlive(holder.serverPid)) return;
  await endPostgres(lock.pid, clusterFolder);
}

/** Stops the Postgres of a cluster, if that is what this process is, and resolves when it is gone. */
export async function endPostgres(pid: number, clusterFolder: string): Promise<void> {
  const start = performance.now();
  for (let sent: NodeJS.Signals | undefined; await isPostgresOf(clusterFolder, pid); await delay(20)) {
    const signal = performance.now() - start < FAST_SHUTDOWN_MS ? 'SIGINT' : 'SIGQUIT';
    if (signal !== sent) signalTo(pid, signal);
    sent = signal;
  }
  for (const latest = performance.now() + EXIT_MS; performance.now() < latest && (await isExiting(pid)); )
    await delay(5);
}

/** Tells whether a process has given up its memory, and so its command line, but not yet its files and its port (Linux). */
async function isExiting(pid: number): Promise<boolean> {
  if (process.platform !== 'linux' || (await commandOf(pid))?.length !== 0) return false;
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return status !== '' && !/^State:\s+[ZX]/m.test(status);
}

function lockFile(clusterFolder: string): string {
  return join(clusterFolder, 'postmaster.pid');
}

async function isPostgresOf(clusterFolder: string, pid: number): Promise<boolean> {
  const command = await commandOf(pid);
  return command !== undefined && isPostgres(command) && command.includes(clusterFolder);
}

/** Tells whether a command is Postgres. In doubt it is: two at once on the same files would ruin them. */
function isPostgres(command: readonly string[] | undefined): boolean {
  return command === undefined || /^post(gres|master)\b/.test(basename(command[0] ?? ''));
}

/** The command line of a process; empty when it is gone, also when nobody has reaped it; undefined when unknown. */
async function commandOf(pid: number): Promise<readonly string[] | undefined> {
  if (!isAlive(pid)) return [];
  if (process.platform === 'linux') {
    const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined);
    return text?.split('\0').filter((word) => word !== '');
  }
  const { status, stdout } = spawnSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], { encoding: 'utf8' });
  return status === 0 ? stdout.trim().split(' ') : undefined;
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // else it has just ended
  }
}
