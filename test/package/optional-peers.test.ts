import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../src/package-root.js';

const run = promisify(execFile);

/** Runs a module in a Node that finds no package but those named. */
async function importWith(installed: readonly string[], entry: string): Promise<string> {
  const hooks = `export function resolve(name, context, next) {
    if (/^[@a-z]/.test(name) && !name.includes(':') && !${JSON.stringify(installed)}.some((each) => name === each || name.startsWith(each + '/')))
      if (context.parentURL.includes('/dist/src/')) throw new Error('not installed: ' + name);
    return next(name, context);
  }`;
  const url = pathToFileURL(join(packageRoot, 'dist/src', entry, 'index.js')).href;
  const script = `import { register } from 'node:module';
    register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hooks)}));
    console.log(Object.keys(await import(${JSON.stringify(url)})).sort().join());`;
  return (await run(process.execPath, ['--input-type=module', '-e', script])).stdout.trim();
}

test.each([
  ['client', [], 'SSEService,sseService'],
  ['query', [], 'bindQueryClient'],
  ['react', ['react'], 'useSSE'],
  ['react-query', ['react', '@tanstack/react-query'], 'useLiveQuery'],
  ['svelte', ['svelte'], 'liveQuery,useSSE'],
  ['vue', ['vue'], 'useSSE'],
  ['vue-query', ['vue', '@tanstack/vue-query'], 'useLiveQuery'],
])('pg-change-feed/%s needs only %j, and exports %s', async (entry, installed, exported) => {
  expect(await importWith(installed, entry)).toBe(exported);
});

test('a page without the query library gets an error that names it', async () => {
  await expect(importWith(['vue'], 'vue-query')).rejects.toThrow('@tanstack/vue-query');
});
