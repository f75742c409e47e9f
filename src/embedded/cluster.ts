import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chown, link, mkdtemp, readdir, readFile, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { OperatorError } from '../operator-error.js';
import { type Account, CHILD_ENVIRONMENT, canReach, makeSharedFolder, SHARED_FOLDER } from './account.js';
import type { Binaries } from './binaries.js';
import { isAlive } from './holder.js';

/** The superuser of the embedded Postgres. */
export const USER = 'postgres';

/** A cluster that can be started. */
export interface Cluster {
  readonly folder: string;
  readonly password: string;
  /** The file for PGPASSFILE: psql then asks for no password. */
  readonly passFile: string;
  /** It has been made just now. */
  readonly made: boolean;
}

/**
 * The cluster of a DATA_DIR, made when there is none.
 * @throws {OperatorError} when DATA_DIR can't be used, another version made it, or initdb fails.
 */
export async function prepareCluster(
  dataDir: string,
  binaries: Binaries,
  account: Account | undefined,
): Promise<Cluster> {
  const folder = await clusterFolder(dataDir, account);
  const passFile = join(dataDir, 'pgpass');
  const made = !existsSync(join(folder, 'PG_VERSION'));
  if (made) await makeCluster(folder, await passwordOf(passFile), binaries, account);

  const version = (await readFile(join(folder, 'PG_VERSION'), 'utf8')).trim();
  if (version !== binaries.majorVersion) {
    throw new OperatorError(
      `${dataDir} was made by PostgreSQL ${version}, and this is ${binaries.majorVersion}: set DATA_DIR to another folder, ` +
        'or move its data with pg_dump.',
    );
  }
  if (!made && !existsSync(passFile)) {
    throw new OperatorError(`${passFile} is missing, the password of ${folder}: put it back, or move that away, too.`);
  }
  return { folder, password: await passwordOf(passFile), passFile, made };
}

/**
 * Finds the folder of the cluster: in DATA_DIR, or, where the user that runs Postgres can't reach that (in root's home folder),
 * in a folder that DATA_DIR has a link to.
 */
async function clusterFolder(dataDir: string, account: Account | undefined): Promise<string> {
  const folder = join(dataDir, 'postgres');
  const linked = await readlink(folder).catch(() => undefined);
  if (linked) return linked;
  if (!account || existsSync(folder) || canReach(dataDir, account)) return folder;

  await makeSharedFolder();
  const prefix = `data-${createHash('sha256').update(dataDir).digest('hex').slice(0, 12)}-`;
  const elsewhere = join(SHARED_FOLDER, `${prefix}${randomBytes(4).toString('hex')}`);
  try {
    await symlink(elsewhere, folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return clusterFolder(dataDir, account);
    throw error;
  }
  // What others with this prefix hold is left alone: a DATA_DIR that was moved, as a backup, still leads there.
  return elsewhere;
}

/** The superuser's password, made once and kept where only its owner can read it. */
async function passwordOf(file: string): Promise<string> {
  const unfinished = `${file}.${randomBytes(4).toString('hex')}`;
  try {
    await writeFile(unfinished, `127.0.0.1:*:*:${USER}:${randomBytes(16).toString('hex')}\n`, { mode: 0o600 });
    await link(unfinished, file); // whole or not at all: another first start may be reading it
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(unfinished, { force: true });
  }
  return (await readFile(file, 'utf8')).trim().split(':').at(-1) ?? '';
}

/** initdb into a folder beside it, renamed when it is whole: a crash, or another first start, leaves no half cluster. */
async function makeCluster(
  folder: string,
  password: string,
  binaries: Binaries,
  account: Account | undefined,
): Promise<void> {
  await removeUnfinished(folder);
  const unfinished = await mkdtemp(`${unfinishedPrefix(folder)}${process.pid}-`);
  const passwordFile = `${unfinished}.password`;
  try {
    await writeFile(passwordFile, password, { mode: 0o600 });
    if (account) {
      await chown(unfinished, account.uid, account.gid);
      await chown(passwordFile, account.uid, account.gid);
    }
    // ICU sorts German, Ärmel beside Armel, on every platform; the locale is for what Postgres asks the C library.
    const initdb = (locale: string) =>
      run(
        binaries.initdb,
        [
          `--pgdata=${unfinished}`,
          `--username=${USER}`,
          `--pwfile=${passwordFile}`,
          '--auth=scram-sha-256',
          '--encoding=UTF8',
          `--locale=${locale}`,
          '--locale-provider=icu',
          '--icu-locale=de-DE',
          '--no-instructions',
        ],
        account,
      );
    let failure = await initdb('C.UTF-8');
    if (failure?.includes('locale')) failure = await initdb('C'); // macOS before 15 has no C.UTF-8
    if (failure) throw new OperatorError(`The embedded Postgres could not be set up in ${dirname(folder)}: ${failure}`);
    await rename(unfinished, folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error; // else another first start was faster
    });
  } finally {
    await rm(unfinished, { recursive: true, force: true });
    await rm(passwordFile, { force: true });
  }
  if (!existsSync(join(folder, 'PG_VERSION'))) {
    throw new OperatorError(
      `${folder} is not empty, and holds no database: set DATA_DIR to another folder, or move it away.`,
    );
  }
}

function unfinishedPrefix(folder: string): string {
  return join(dirname(folder), `.${basename(folder)}-`);
}

/** A first start that was killed has left its half cluster, some 40 MB. */
async function removeUnfinished(folder: string): Promise<void> {
  const prefix = basename(unfinishedPrefix(folder));
  for (const name of await readdir(dirname(folder))) {
    const pid = Number(name.startsWith(prefix) ? name.slice(prefix.length).split('-')[0] : Number.NaN);
    if (!Number.isNaN(pid) && !isAlive(pid)) await rm(join(dirname(folder), name), { recursive: true, force: true });
  }
}

/** Runs a program to its end. @returns the last lines that it said when it failed. */
function run(program: string, args: readonly string[], account: Account | undefined): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      ...account,
      cwd: '/',
      env: CHILD_ENVIRONMENT,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-2000);
    });
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code) => resolve(code === 0 ? undefined : said.trim().split('\n').slice(-3).join(' ')));
  });
}
