import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '../../src/package-root.js';

const run = promisify(execFile);

/** A packed package, and the paths in it. */
export interface Packed {
  readonly tarball: string;
  readonly files: readonly string[];
}

/**
 * Packs what `npm run build` made.
 * @param folder where the tarball goes.
 * @param source default: the package itself; `./dist/client-package` is the browser client's.
 */
export async function pack(folder: string, source = '.'): Promise<Packed> {
  const options = ['--ignore-scripts', '--json', '--pack-destination', folder];
  const [packed] = JSON.parse((await run('npm', ['pack', source, ...options], { cwd: packageRoot })).stdout);
  return { tarball: join(folder, packed.filename), files: packed.files.map(({ path }: { path: string }) => path) };
}

/** Installs the dependencies of a folder's package.json, from npm's cache where they are there. */
export async function install(folder: string): Promise<void> {
  // A stranger's npm does not have the strict engines of this repository's .npmrc, which `npm test` hands on.
  const env = { ...process.env, npm_config_engine_strict: 'false' };
  await run('npm', ['install', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: folder,
    env,
  });
}

/** Makes a folder with these dependencies installed. */
export async function folderWith(folder: string, dependencies: Record<string, string>): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module', dependencies }));
  await install(folder);
}
