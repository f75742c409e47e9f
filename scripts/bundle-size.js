// Builds what browsers load, and fails where it is larger than promised.
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const LIMIT_BYTES = 6 * 1024;

const [{ output }] = await build({
  configFile: false,
  logLevel: 'warn',
  build: { write: false, minify: true, lib: { entry: 'src/client/index.ts', formats: ['es'] } },
});
const size = gzipSync(output[0].code, { level: 9 }).length;
console.log(`pg-change-feed/client: ${size} bytes gzipped, of ${LIMIT_BYTES}`);
if (size > LIMIT_BYTES) process.exit(1);
