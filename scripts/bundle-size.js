// Builds what browsers load, and fails where it is larger than promised.
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const KB = 1024;

async function check(name, limitBytes, options) {
  const [{ output }] = [
    await build({ logLevel: 'warn', ...options, build: { ...options.build, write: false } }),
  ].flat();
  const size = output.reduce((sum, file) => sum + gzipSync(file.code ?? file.source, { level: 9 }).length, 0);
  console.log(`${name}: ${size} bytes gzipped, of ${limitBytes}`);
  if (size > limitBytes) process.exitCode = 1;
}

await check('pg-change-feed/client', 6 * KB, {
  configFile: false,
  build: { minify: true, lib: { entry: 'src/client/index.ts', formats: ['es'] } },
});
await check('web UI', 120 * KB, { configFile: 'vite.config.ts' });
