import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));

/** The folder of what `npm run build` makes, for the compiled application and for its sources alike. */
export const builtFolder = /[\\/]dist[\\/]src[\\/]app$/.test(here)
  ? join(here, '..', '..')
  : join(here, '..', '..', 'dist');
