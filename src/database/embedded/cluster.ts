import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, readdir, readFile, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { OperatorError } from '../../operator-error.js';
import { type Account, CHILD_ENVIRONMENT, canReach, makeSharedFolder, SHARED_FOLDER } from './account.js';
import type { Binaries } from './binaries.js';

/** The superuser of the embedded Postgres. */
export const USER = 'postgres';

/** A cluster that can be started. */
export interface Cluster {
  readonly folder: string;
  readonly password: string;
  /** For PGPASSFILE: psql then asks for no password. */
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
  const password = await passwordOf(dataDir);
  const passFile = join(dataDir, 'pgpass');
  const made = !existsSync(join(folder, 'PG_VERSION'));
  if (made) await makeCluster(folder, password, binaries, account);

  const version = (await readFile(join(folder, 'PG_VERSION'), 'utf8')).trim();
  if (version !== binaries.majorVersion) {
    throw new OperatorError(
      `${dataDir} was made by PostgreSQL ${version}, and this is ${binaries.majorVersion}: set DATA_DIR to another folder, ` +
        'or move its data with pg_dump.',
    );
  }
  return { folder, password, passFile, made };
}

/**
 * Where the cluster lies: in DATA_DIR, or, where the user that runs Postgres can't reach that (in root's home folder),
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
  // The data of a DATA_DIR that was removed: nothing leads there any more.
  for (const name of await readdir(SHARED_FOLDER)) {
    if (name.startsWith(prefix)) await rm(join(SHARED_FOLDER, name), { recursive: true, force: true });
  }
  return elsewhere;
}

/** The superuser's password, made once and kept where only its owner can read it. */
async function passwordOf(dataDir: string): Promise<string> {
  const file = join(dataDir, 'pgpass');
  try {
    await writeFile(file, `127.0.0.1:*:*:${USER}:${randomBytes(16).toString('hex')}\n`, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
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
  const unfinished = join(dirname(folder), `.${basename(folder)}-${randomBytes(4).toString('hex')}`);
  const passwordFile = `${unfinished}.password`;
  try {
    await mkdir(unfinished, { mode: 0o700 });
    await writeFile(passwordFile, password, { mode: 0o600 });
    if (account) {
      await chown(unfinished, account.uid, account.gid);
      await chown(passwordFile, account.uid, account.gid);
    }
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
          '--no-instructions',
        ],
        account,
      );
    let failure = await initdb('C.UTF-8');
    if (failure?.includes('locale')) failure = await initdb('C'); // macOS before 15 has no C.UTF-8
    if (failure) throw new OperatorError(`The embedded Postgres could not be set up in ${dirname(folder)}: ${failure}`);
    await chmod(unfinished, 0o700);
    await rename(unfinished, folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error; // else another first start was faster
    });
  } finally {
    await rm(unfinished, { recursive: true, force: true });
    await rm(passwordFile, { force: true });
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
