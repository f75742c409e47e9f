import { spawnSync } from 'node:child_process';
import { chmod, lstat, mkdir } from 'node:fs/promises';
import { OperatorError } from '../operator-error.js';

/** The system user that Postgres runs as. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

const NAME = 'postgres';

/** The folder for what that user has to reach and can't where it lies: only root may write to it. */
export const SHARED_FOLDER = '/var/lib/pg-change-feed';

/** Makes the environment of Postgres' programs: a LANG or LC_ALL that isn't generated makes initdb fail. */
export const CHILD_ENVIRONMENT = { LC_ALL: 'C', PATH: '/usr/local/bin:/usr/bin:/bin' } as const;

/**
 * Postgres refuses to run as root: for root, the user `postgres`, made where there is none; else undefined.
 * @throws {OperatorError} when it can't be made.
 */
export function serverAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const known = findAccount();
  if (known) return known;
  spawnSync('useradd', ['--system', '--user-group', '--no-create-home', '--home-dir', SHARED_FOLDER, NAME]);
  const made = findAccount();
  if (made) return made;
  throw new OperatorError(
    `Postgres does not run as root, and a user ${NAME} could not be made: run this as an ordinary user, or set DATABASE_URL.`,
  );
}

/** Tells whether that user can use a folder. Really tried: modes, ACLs and mounts all have a say. */
export function canReach(folder: string, account: Account): boolean {
  return spawnSync('ls', ['-d', `${folder}/.`], { ...account, cwd: '/', stdio: 'ignore' }).status === 0;
}

/**
 * Makes {@link SHARED_FOLDER}.
 * @throws {OperatorError} when others may write to it: they could have put a program of theirs there.
 */
export async function makeSharedFolder(): Promise<void> {
  await mkdir(SHARED_FOLDER, { recursive: true });
  await chmod(SHARED_FOLDER, 0o755);
  await requireOwnedByRoot(SHARED_FOLDER);
}

/** @throws {OperatorError} unless it is a folder that belongs to root, and nobody else may write to. */
export async function requireOwnedByRoot(folder: string): Promise<void> {
  const { uid, mode } = await lstat(folder).then((stat) => (stat.isDirectory() ? stat : { uid: -1, mode: 0 }));
  if (uid !== 0 || (mode & 0o022) !== 0) {
    throw new OperatorError(`${folder} has to be a folder that only root may write to: remove it, and start again.`);
  }
}

function findAccount(): Account | undefined {
  const [uid, gid] = ['-u', '-g'].map((flag) => spawnSync('id', [flag, NAME], { encoding: 'utf8' }));
  if (uid?.status !== 0 || gid?.status !== 0) return undefined;
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
}
