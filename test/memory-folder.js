// JavaScript, as the global set-up that imports it.
import { chmod, mkdtemp, readdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { isAlive } from '../dist/src/embedded/holder.js';

const MEMORY = '/dev/shm';
const NAME = /^pg-change-feed-test-(\d+)-/;
/** The room that a run may need, in bytes: Postgres alone may keep 1 GB of WAL. */
const ROOM = 4e9;

/**
 * Makes a folder in memory for the temporary files of a run, where Linux has room there. On a disk CREATE DATABASE takes nine
 * times the CPU: 100 ms against 11, for the 900 files that it makes.
 * @returns {Promise<string | undefined>}
 */
export async function makeMemoryFolder() {
  const room = await statfs(MEMORY).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => 0,
  );
  if (room < ROOM) return undefined;
  await removeLeftovers();
  const folder = await mkdtemp(join(MEMORY, `pg-change-feed-test-${process.pid}-`));
  await chmod(folder, 0o1777); // as /tmp: for root, whose Postgres runs as another user
  return folder;
}

/** Removes the folders of runs that were killed. */
async function removeLeftovers() {
  for (const name of await readdir(MEMORY)) {
    const pid = NAME.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) await rm(join(MEMORY, name), { recursive: true, force: true });
  }
}
