import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parseYaml } from '@redocly/openapi-core';
import { packageRoot } from '../../src/package-root.js';
import { freePort } from '../free-port.js';
import { folderWith, pack } from '../package/packed.js';
import { createTestDatabase, type TestDatabase } from '../test-database.js';
import { until } from '../until.js';

// What ops/ has for containers and systemd, as far as it can be run without their engines.

const textOf = (name: string) => readFile(join(packageRoot, name), 'utf8');
let folder: string;
let database: TestDatabase;
let dockerfile: string;

beforeAll(async () => {
  database = await createTestDatabase();
  dockerfile = await textOf('ops/Dockerfile');
  folder = await mkdtemp(join(tmpdir(), 'pg-change-feed-image-'));
  await chmod(folder, 0o755); // the server runs as another user
  const { tarball } = await pack(folder);
  await folderWith(folder, { 'pg-change-feed': tarball });
});

afterAll(async () => {
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

/** The words of an instruction of the Dockerfile, in the folder that stands for /app. */
function wordsOf(instruction: string): string[] {
  const [, json = ''] = new RegExp(`^${instruction} (\\[.*\\])$`, 'm').exec(dockerfile) ?? [];
  return (JSON.parse(json) as string[]).map((word) => word.replace('/app/', `${folder}/`));
}

/** Nobody's rights, where this user is root: USER of the Dockerfile. */
const AS_NOBODY =
  process.getuid?.() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--no-new-privs'] : [];

test('the image starts as no root, is healthy while the server answers, and ends with SIGTERM', async () => {
  expect(dockerfile).toMatch(/^USER node$/m);
  const [, variables = ''] = /^ENV (.*)$/m.exec(dockerfile) ?? [];
  const env = {
    PATH: process.env.PATH,
    ...Object.fromEntries(variables.split(' ').map((pair) => pair.split('=') as [string, string])),
    DATABASE_URL: database.url,
    JWT_SECRET: 'x'.repeat(32),
    PORT: String(await freePort()),
  };
  const healthy = () => {
    const [command = '', ...words] = wordsOf('HEALTHCHECK .* CMD');
    return spawnSync(command, words, { env }).status === 0;
  };
  expect(healthy()).toBe(false);
  const [command = '', ...words] = [...AS_NOBODY, ...wordsOf('ENTRYPOINT'), ...wordsOf('CMD')];
  const server = spawn(command, words, { cwd: '/', env, stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  server.stdout.on('data', (bytes) => {
    said += bytes;
  });
  await until(
    () => said.includes('"serving"'),
    () => `the server, which said ${said},`,
  );
  expect(healthy()).toBe(true);
  // All addresses, as a container's port needs it
  expect((await fetch(`http://127.0.0.2:${env.PORT}/readyz`)).status).toBe(200);
  server.kill('SIGTERM');
  const [status] = await once(server, 'exit');
  expect(status).toBe(0);
});

test('compose.yaml sets only settings that there are, and waits for the database', async () => {
  const { services } = parseYaml(await textOf('ops/compose.yaml')) as {
    services: Record<
      string,
      { environment: object; command?: string[]; depends_on?: object; build?: { context: string; dockerfile: string } }
    >;
  };
  const known = Array.from((await textOf('.env.example')).matchAll(/^#([A-Z_]+)=/gm), ([, name]) => name);
  expect(known).toEqual(expect.arrayContaining(Object.keys(services.feed?.environment ?? {})));
  expect(services.feed?.depends_on).toEqual({ postgres: { condition: 'service_healthy' } });
  const { context = '', dockerfile: path = '' } = services.feed?.build ?? {};
  expect(await readFile(join(packageRoot, 'ops', context, path), 'utf8')).toBe(dockerfile);
  const cli = join(folder, 'node_modules/pg-change-feed/dist/src/cli.js');
  const [command = '', ...options] = services.feed?.command ?? [];
  const { stdout } = spawnSync(process.execPath, [cli, command, '--help'], { encoding: 'utf8' });
  for (const option of options) expect(stdout).toContain(option);
});

test('the unit is one that systemd takes', () => {
  if (spawnSync('systemd-analyze', ['--version']).status !== 0)
    return console.warn('Skipped: there is no systemd-analyze');
  const unit = join(packageRoot, 'ops/pg-change-feed.service');
  const { stderr } = spawnSync('systemd-analyze', ['verify', unit], { encoding: 'utf8' });
  // It reads the units of this machine, too.
  expect(stderr.split('\n').filter((line) => line.includes('pg-change-feed'))).toEqual([]);
});
