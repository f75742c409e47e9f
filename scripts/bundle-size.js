// Builds what browsers load, and fails where it is larger than promised.
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const KB = 1024;

/** @param entryOnly counts what a page loads at once, and not what it loads when it is needed. */
async function check(name, limitBytes, options, { entryOnly = false } = {}) {
  const [{ output }] = [
    await build({ logLevel: 'warn', ...options, build: { ...options.build, write: false } }),
  ].flat();
  const chunks = new Map(output.map((file) => [file.fileName, file]));
  const entry = output
    .filter(({ isEntry }) => isEntry)
    .flatMap((file) => [file, ...file.imports.map((each) => chunks.get(each))]);
  const counted = entryOnly ? [...new Set(entry)] : output;
  const size = counted.reduce((sum, file) => sum + gzipSync(file.code ?? file.source, { level: 9 }).length, 0);
  console.log(`${name}: ${size} bytes gzipped, of ${limitBytes}`);
  if (size > limitBytes) process.exitCode = 1;
}

await check(
  'pg-change-feed/client',
  8 * KB,
  {
    configFile: false,
    build: {
      minify: true,
      lib: { entry: 'src/client/index.ts', formats: ['es'] },
      rollupOptions: { output: { minify: true } },
    },
  },
  { entryOnly: true },
);
await check('web UI', 120 * KB, { configFile: 'vite.config.ts' });
await check('monitor', 80 * KB, { configFile: 'vite.monitor.config.ts' });
