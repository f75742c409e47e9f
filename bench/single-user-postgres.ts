import { execFile, spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access, chown, cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { installChangeFeed } from '../src/database/install.js';

const run = promisify(execFile);
const DEBIAN = '/usr/lib/postgresql';

/** The user that programs run as; empty for the one that runs the benchmarks. */
type User = { uid: number; gid: number } | Record<string, never>;

/** A Postgres that is not running, of which single processes can be counted: nothing but the statements runs in them. */
export interface SingleUserPostgres {
  /** The version of the server, as `postgres --version` says it. */
  readonly version: string;
  /**
   * Counts the instructions of a process that runs these statements, on a copy of the data folder.
   * @param lines one statement each.
   * @throws {Error} where a statement raises or warns.
   */
  count(lines: readonly string[]): Promise<number>;
  remove(): Promise<void>;
}

/**
 * Makes a data folder with the feed, and runs a setup in it.
 * @throws {Error} where valgrind or the programs of a server are missing, with what to install.
 */
export async function makeSingleUserPostgres(setUp: string): Promise<SingleUserPostgres> {
  const valgrind = await findProgram('valgrind', (process.env.PATH ?? '').split(delimiter));
  if (!valgrind) throw new Error('instructions needs valgrind: apt-get install valgrind');
  const bin = await serverPrograms();
  const user = await serverUser();
  const { stdout: version } = await run(join(bin, 'postgres'), ['--version']);
  const folder = await mkdtemp(join(tmpdir(), 'bench-instructions-'));
  if (user.uid !== undefined) await chown(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    const options = { ...user, cwd: folder };
    await run(join(bin, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale'], options);
    const control = (...more: string[]) => run(join(bin, 'pg_ctl'), ['-D', data, '-w', '-s', ...more], options);
    const server = `-c listen_addresses= -c unix_socket_directories=${folder} -c fsync=off`;
    await control('start', '-l', join(folder, 'log'), '-o', server);
    try {
      await installFeed(folder, setUp);
    } finally {
      await control('stop', '-m', 'fast');
    }
  } catch (error) {
    await remove();
    throw error;
  }
  let copies = 0;
  const count = async (lines: readonly string[]) => {
    copies += 1;
    const copy = join(folder, `copy-${copies}`);
    await cp(data, copy, { recursive: true });
    await run('chown', ['-R', `--reference=${data}`, copy]);
    try {
      return await countOver([valgrind, join(bin, 'postgres'), copy], user, lines);
    } finally {
      await rm(copy, { recursive: true });
    }
  };
  return { version: version.trim(), count, remove };
}

async function installFeed(host: string, setUp: string): Promise<void> {
  const pool = new pg.Pool({ host, user: 'postgres', database: 'postgres' });
  pool.on('error', () => {}); // stopping the server may end an idle connection
  const db = new Kysely<Record<string, never>>({ dialect: new PostgresDialect({ pool }) });
  try {
    await installChangeFeed(db);
    await pool.query(setUp);
    await pool.query('vacuum freeze analyze'); // else one run would set hint bits, and another would not
  } finally {
    await db.destroy();
  }
}

async function countOver(
  [valgrind, program, data]: [string, string, string],
  user: User,
  lines: readonly string[],
): Promise<number> {
  const settings = ['fsync=off', 'jit=off', 'log_checkpoints=off', 'application_name=bench'];
  const child = spawn(
    valgrind,
    ['--tool=callgrind', '--callgrind-out-file=/dev/null', program, '--single', '-D', data]
      .concat(settings.flatMap((setting) => ['-c', setting]))
      .concat('postgres'),
    { ...user, stdio: ['pipe', 'ignore', 'pipe'] },
  );
  let said = '';
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  child.stdin.end(`${lines.join('\n')}\n`);
  await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve));
  const problem = said.match(/^.*(?:ERROR|WARNING|FATAL|PANIC):.*$/m)?.[0];
  const counted = said.match(/Collected : (\d+)/)?.[1];
  if (problem || !counted) throw new Error(`The statements could not be counted: ${problem ?? said.slice(-500)}`);
  return Number(counted);
}

/** The folder with postgres, initdb and pg_ctl: BENCH_POSTGRES_BIN, or the first of Debian's. */
async function serverPrograms(): Promise<string> {
  const given = process.env.BENCH_POSTGRES_BIN;
  const versions = await readdir(DEBIAN).catch(() => []);
  const folders = given ? [given] : versions.map((version) => join(DEBIAN, version, 'bin'));
  const program = await findProgram('postgres', folders);
  if (program) return join(program, '..');
  throw new Error(
    `instructions needs the programs of a Postgres server, and there is no postgres in ${given ?? DEBIAN}: ` +
      'apt-get install postgresql, or name their folder in BENCH_POSTGRES_BIN',
  );
}

async function findProgram(name: string, folders: readonly string[]): Promise<string | undefined> {
  for (const folder of folders) {
    const program = join(folder, name);
    if (
      await access(program, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return program;
  }
  return undefined;
}

/** Postgres refuses to run as root. */
async function serverUser(): Promise<User> {
  if (process.getuid?.() !== 0) return {};
  const idOf = async (flag: string) => Number((await run('id', [flag, 'postgres'])).stdout);
  return { uid: await idOf('-u'), gid: await idOf('-g') };
}
