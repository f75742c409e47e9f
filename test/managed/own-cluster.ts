import { spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../src/embedded/embedded-postgres.js';
import { freePort } from '../free-port.js';
import { runProgram } from '../run-program.js';

const PG15 = '/usr/lib/postgresql/15/bin';

/** A cluster of its own, without the roles of the feed, as a provider hands it over. */
export interface OwnCluster {
  readonly version: '15' | 'embedded';
  /** Runs statements as the superuser, in the database `postgres` or another. */
  admin(statements: string, database?: string): Promise<void>;
  /** The address of a database for a user whose password is the name. */
  urlOf(user: string, database: string): string;
  stop(): Promise<void>;
}

/** The clusters that can be made here: the embedded one, and PostgreSQL 15 where Debian's package is installed. */
export function clusterVersions(): OwnCluster['version'][] {
  const account = spawnSync('id', ['-u', 'postgres']).status === 0;
  return spawnSync(join(PG15, 'postgres'), ['--version']).status === 0 && account ? ['embedded', '15'] : ['embedded'];
}

/** Makes a cluster, and starts it. */
export async function startOwnCluster(version: OwnCluster['version']): Promise<OwnCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'own-cluster-'));
  await chmod(folder, 0o711); // for root, whose Postgres runs as another user
  const { url, stop } = version === '15' ? await startDebian(folder) : await startEmbedded(folder);
  const urlOf = (user: string, database: string) => {
    const other = new URL(url);
    Object.assign(other, { username: user, password: user, pathname: database });
    return other.href;
  };
  return {
    version,
    urlOf,
    admin: async (statements, database = 'postgres') => {
      const address = new URL(url);
      address.pathname = database;
      const client = new pg.Client({ connectionString: address.href });
      await client.connect();
      try {
        await client.query(statements);
      } finally {
        await client.end();
      }
    },
    stop: async () => {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const startEmbedded = (dataDir: string) => startEmbeddedPostgres({ dataDir, port: 0, settings: { fsync: 'off' } });

async function startDebian(folder: string) {
  const port = await freePort();
  const data = join(folder, 'data');
  await run('install', ['-d', ...(process.getuid?.() === 0 ? ['-o', 'postgres'] : []), data], false);
  await run(`${PG15}/initdb`, ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8']);
  const options = `-p ${port} -c fsync=off -c listen_addresses=127.0.0.1 -k ${data}`;
  await run(`${PG15}/pg_ctl`, ['-D', data, '-o', options, '-l', join(data, 'log'), '-w', 'start']);
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    stop: () => run(`${PG15}/pg_ctl`, ['-D', data, '-m', 'immediate', '-w', 'stop']),
  };
}

/** Runs a program of Postgres as the user postgres, where this user is root. */
async function run(program: string, args: string[], asPostgres = true): Promise<void> {
  const isRoot = process.getuid?.() === 0 && asPostgres;
  const [command, ...words] = isRoot
    ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups', program]
    : [program];
  const { status, stderr, stdout } = await runProgram(command as string, [...words, ...args], { cwd: '/' });
  if (status !== 0) throw new Error(`${program}: ${stdout}${stderr}`);
}
