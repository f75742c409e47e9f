import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { isAlive, readHolder } from '../../src/database/embedded/holder.js';
import {
  type EmbeddedPostgres,
  findEmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../src/database/embedded-postgres.js';
import { OperatorError } from '../../src/operator-error.js';
import { packageRoot } from '../../src/package-root.js';
import { until } from '../until.js';

let home: string;
const running: EmbeddedPostgres[] = [];
const settings = { fsync: 'off' };

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'embedded-'));
  await chmod(home, 0o755);
});

afterEach(async () => {
  for (const postgres of running.splice(0)) await postgres.stop();
});

afterAll(() => rm(home, { recursive: true, force: true }));

async function start(dataDir: string, port = 0): Promise<EmbeddedPostgres> {
  const postgres = await startEmbeddedPostgres({ dataDir, port, settings });
  running.push(postgres);
  return postgres;
}

async function query(url: string, text: string): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await client.query(text);
  } finally {
    await client.end();
  }
}

/** A process of its own that starts Postgres, says so, and waits for its end. */
function startInProcess(dataDir: string, env: NodeJS.ProcessEnv = {}): ChildProcess {
  const module = JSON.stringify(join(packageRoot, 'dist/src/database/embedded-postgres.js'));
  const script = `const { startEmbeddedPostgres } = await import(${module});
    const { url } = await startEmbeddedPostgres({ dataDir: ${JSON.stringify(dataDir)}, port: 0, settings: { fsync: 'off' } });
    console.log(url); process.stdin.resume();`;
  return spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
}

async function output(child: ChildProcess): Promise<string> {
  const [chunk] = await once(child.stdout as NodeJS.ReadableStream, 'data');
  return String(chunk).trim();
}

test('starts, stops and starts again on the same data', async () => {
  const dataDir = join(home, 'zweimal');
  const first = await start(dataDir);
  expect(first.firstStart).toBe(true);
  expect((await query(first.url, 'show server_version')).rows[0].server_version).toMatch(/^18\./);
  expect((await query(first.url, 'show server_encoding')).rows[0].server_encoding).toBe('UTF8');
  await query(first.url, 'create table t as select 1 as bleibt');
  await first.stop();
  await first.stop();
  await expect(query(first.url, 'select 1')).rejects.toThrow('ECONNREFUSED');

  const second = await start(dataDir);
  expect(second.firstStart).toBe(false);
  expect((await query(second.url, 'table t')).rows).toEqual([{ bleibt: 1 }]);
});

test('keeps its secrets to its owner, and asks everybody else for a password', async () => {
  const dataDir = join(home, 'geheim');
  const { url, passFile } = await start(dataDir);
  await until(() => existsSync(join(dataDir, 'postgres.log')));
  for (const file of [passFile, join(dataDir, 'holder.json'), join(dataDir, 'postgres.log')]) {
    expect((await stat(file)).mode & 0o077).toBe(0);
  }
  const address = new URL(url);
  address.password = 'falsch';
  await expect(query(address.href, 'select 1')).rejects.toThrow('password authentication failed');
});

test('is found while it runs, and only then', async () => {
  const dataDir = join(home, 'gefunden');
  expect(await findEmbeddedPostgres(dataDir)).toBeUndefined();
  const postgres = await start(dataDir);
  expect(await findEmbeddedPostgres(dataDir)).toEqual({ url: postgres.url, pid: expect.any(Number) });
  const note = await readFile(join(dataDir, 'holder.json'), 'utf8');
  await postgres.stop();
  expect(await findEmbeddedPostgres(dataDir)).toBeUndefined();
  await writeFile(join(dataDir, 'holder.json'), note);
  expect(await findEmbeddedPostgres(dataDir)).toBeUndefined();
});

describe('refuses with one sentence', () => {
  test('a DATA_DIR that another holds: who, and what to set', async () => {
    const dataDir = join(home, 'besetzt');
    const { port, url } = await start(dataDir);
    const second = startEmbeddedPostgres({ dataDir, port: 0, settings });
    await expect(second).rejects.toThrow(OperatorError);
    await expect(second).rejects.toThrow(
      new RegExp(`is in use by process ${process.pid} \\(Postgres on port ${port}, since 20.*DATA_DIR, EMBEDDED_PORT`),
    );
    expect((await query(url, 'select 1')).rowCount).toBe(1);
  });

  test('a port that is in use', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    await expect(start(join(home, 'port'), port)).rejects.toThrow(
      `Port ${port} on 127.0.0.1 is in use: set EMBEDDED_PORT`,
    );
    server.close();
  });

  test('the data of another version', async () => {
    const dataDir = join(home, 'alt');
    await mkdir(join(dataDir, 'postgres'), { recursive: true });
    await writeFile(join(dataDir, 'postgres', 'PG_VERSION'), '16\n');
    await expect(start(dataDir)).rejects.toThrow('was made by PostgreSQL 16, and this is 18');
  });

  test('a DATA_DIR that is a file', async () => {
    await writeFile(join(home, 'datei'), '');
    await expect(start(join(home, 'datei'))).rejects.toThrow(/DATA_DIR: .*datei can't be used/);
  });
});

test('of two first starts at the same moment one wins, and the other is told', async () => {
  const dataDir = join(home, 'wettlauf');
  const both = await Promise.allSettled([start(dataDir), start(dataDir)]);
  const winners = both.filter(({ status }) => status === 'fulfilled');
  const losers = both.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
  expect(winners).toHaveLength(1);
  expect(losers[0]).toBeInstanceOf(OperatorError);
  expect(losers[0].message).toContain('is in use by');
});

test.each(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)('ends with a process that got %s', async (signal) => {
  const dataDir = join(home, signal);
  const child = startInProcess(dataDir);
  await output(child);
  const { postgresPid, supervisorPid } = (await readHolder(dataDir)) ?? { postgresPid: 0, supervisorPid: 0 };
  expect(isAlive(postgresPid)).toBe(true);
  child.kill(signal);
  await until(() => !isAlive(postgresPid) && !isAlive(supervisorPid), 'the end of Postgres');
});

test('takes over from a supervisor that was killed', async () => {
  const dataDir = join(home, 'waise');
  const child = startInProcess(dataDir);
  await output(child);
  const { supervisorPid = 0, postgresPid = 0 } = (await readHolder(dataDir)) ?? {};
  process.kill(supervisorPid, 'SIGKILL');
  child.kill('SIGKILL');
  await until(() => !isAlive(supervisorPid));
  expect(isAlive(postgresPid)).toBe(true);
  const next = await start(dataDir);
  expect(isAlive(postgresPid)).toBe(false);
  expect((await query(next.url, 'select 1')).rowCount).toBe(1);
});

test.each(['de_DE.UTF-8', 'xx_XX', 'C', 'tr_TR.ISO-8859-9'])('starts with LANG and LC_ALL %s', async (locale) => {
  const child = startInProcess(join(home, `lang-${locale}`), { LANG: locale, LC_ALL: locale, LANGUAGE: locale });
  const url = await output(child);
  expect((await query(url, `select upper('ä') as gross`)).rows).toEqual([{ gross: 'Ä' }]);
  child.kill('SIGKILL');
  await once(child, 'exit');
});

const asRoot = process.getuid?.() === 0 ? test : test.skip;

asRoot('runs as root from a folder that nobody else can reach', async () => {
  const closed = join(home, 'closed');
  await mkdir(closed, { mode: 0o700 });
  const dataDir = join(closed, 'data');
  const postgres = await start(dataDir);
  const { rows } = await query(postgres.url, `select current_setting('data_directory') as folder`);
  expect(rows[0].folder).toMatch(/^\/var\/lib\/pg-change-feed\/data-/);
  await postgres.stop();
  const again = await start(dataDir);
  expect(again.firstStart).toBe(false);
  await again.stop();
  await rm(rows[0].folder, { recursive: true });
});
