import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of what `npm run build` makes: the same for the compiled application, its sources, and the benchmarks. */
export const builtFolder = join(findPackageRoot(dirname(fileURLToPath(import.meta.url))), 'dist');

function findPackageRoot(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : findPackageRoot(dirname(folder));
}
