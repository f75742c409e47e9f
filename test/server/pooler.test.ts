import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { serverAccount } from '../../src/database/embedded/account.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { until } from '../until.js';

const installed = spawnSync('pgbouncer', ['--version']).status === 0;
// CI installs it, and must not pass without.
if (!installed && process.env.CI) throw new Error('pgbouncer is missing: apt-get install pgbouncer');
if (!installed) console.warn('Skipped, for pgbouncer is missing: apt-get install pgbouncer');
const withPgbouncer = installed ? test : test.skip;

let server: TestServer;
let folder: string;
const poolers: ChildProcess[] = [];

beforeAll(async () => {
  server = await startTestServer();
  folder = await mkdtemp(join(tmpdir(), 'pooler-'));
  await chmod(folder, 0o755);
});

afterAll(async () => {
  for (const pooler of poolers) pooler.kill('SIGKILL');
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

/** A real PgBouncer before the test's database. @returns the address through it. */
async function pooler(mode: 'session' | 'transaction', settings = ''): Promise<string> {
  const { hostname, port, username, password, pathname } = new URL(server.database.url);
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

withPgbouncer.each(['', 'ignore_startup_parameters = options'])(
  'a pooler in transaction mode (%s) is named at the start, with what to set',
  async (settings) => {
    const url = await pooler('transaction', settings);
    await expect(server.another({ databaseUrl: url })).rejects.toThrow(
      /^A pooler stands before the database postgres:\/\/\S+: set LISTEN_DATABASE_URL to the direct address/,
    );
  },
);

withPgbouncer('behind a pooler in transaction mode the server works, given the direct address', async () => {
  const url = await pooler('transaction');
  const pooled = await server.another({ databaseUrl: url, listenDatabaseUrl: server.database.url });
  const authorization = { Authorization: `Bearer ${await server.token()}` };
  const lists = await Promise.all(
    Array.from({ length: 20 }, () => fetch(`${pooled.url}/api/veranstaltungen`, { headers: authorization })),
  );
  expect(lists.map(({ status }) => status)).toEqual(lists.map(() => 200));
  const stream = await server.stream('resources=anmeldung');
  await stream.clientId();
  const writer = new pg.Client({ connectionString: url });
  await writer.connect();
  await writer.query(`select change_feed.emit('anmeldung')`);
  await stream.next(({ data }) => data.resource === 'anmeldung');
  await writer.end();
});
