import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';

/** The process that runs the Postgres of a DATA_DIR: a note in that folder, for people and for other commands. */
export interface Holder {
  /** The process that has started it: the server. */
  readonly serverPid: number;
  readonly supervisorPid: number;
  readonly postgresPid: number;
  readonly port: number;
  /** ISO 8601 */
  readonly since: string;
}

/** Leaves the note, readable for its owner only. */
export async function writeInstanceFile(dataDir: string, holder: Holder): Promise<void> {
  const file = join(dataDir, 'holder.json');
  const unfinished = `${file}.${process.pid}`;
  await writeFile(unfinished, JSON.stringify(holder), { mode: 0o600 });
  await rename(unfinished, file); // nobody reads half of it
}

/** The note, as it was left; it may be of a process that is gone. */
export async function readInstanceFile(dataDir: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(join(dataDir, 'holder.json'), 'utf8'));
  } catch {
    return undefined;
  }
}

/** Takes the note away. */
export async function removeInstanceFile(dataDir: string): Promise<void> {
  await rm(join(dataDir, 'holder.json'), { force: true });
}

/** Tells whether there is such a process. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Tells whether the Postgres at this address is the one of this folder: a pid, or a port, may be someone else's by now. */
export async function serves(url: string, clusterFolder: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2000 });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query("select current_setting('data_directory') as folder");
    return rows[0]?.folder === clusterFolder;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}
