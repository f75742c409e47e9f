import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from '@jest/globals';
import pg from 'pg';
import { serverAccount } from '../src/embedded/account.js';
import { until } from './until.js';

const installed = spawnSync('pgbouncer', ['--version']).status === 0;
// CI installs it, and must not pass without.
if (!installed && process.env.CI) throw new Error('pgbouncer is missing: apt-get install pgbouncer');
if (!installed) console.warn('Skipped, for pgbouncer is missing: apt-get install pgbouncer');
/** A test that needs PgBouncer. */
export const withPgbouncer = installed ? test : test.skip;

const poolers: ChildProcess[] = [];
let folder: string | undefined;

/** A real PgBouncer before a database. @returns the address through it. */
export async function startPooler(
  databaseUrl: string,
  mode: 'session' | 'transaction',
  settings = '',
): Promise<string> {
  folder ??= await makeFolder();
  const { hostname, port, username, password, pathname } = new URL(databaseUrl);
  const secret = password && `password=${password}`; // a server that trusts has none
  const listening = createServer().listen(0, '127.0.0.1');
  await until(() => listening.address() !== null);
  const { port: free } = listening.address() as { port: number };
  listening.close();
  const file = join(folder, `${mode}-${free}.ini`);
  await writeFile(
    file,
    `[databases]\n* = host=${hostname} port=${port} dbname=${pathname.slice(1)} user=${username} ${secret}
[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=${free}\nauth_type=any\npool_mode=${mode}\nunix_socket_dir=\n${settings}\n`,
  );
  poolers.push(spawn('pgbouncer', ['-q', file], { ...serverAccount(), cwd: '/', stdio: 'ignore' }));
  const url = `postgres://${username}@127.0.0.1:${free}/pooled`;
  await until(async () => {
    const client = new pg.Client({ connectionString: url });
    return client.connect().then(
      () => client.end().then(() => true),
      () => false,
    );
  }, 'the pooler');
  return url;
}

/** Ends all of them. */
export async function stopPoolers(): Promise<void> {
  for (const pooler of poolers.splice(0)) pooler.kill('SIGKILL');
  if (folder) await rm(folder, { recursive: true, force: true });
  folder = undefined;
}

async function makeFolder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'pooler-'));
  await chmod(made, 0o755);
  return made;
}
