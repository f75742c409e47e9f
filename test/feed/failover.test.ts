import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chown, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { createDatabase } from '../../src/app/database.js';
import { migrateChangeFeed } from '../../src/database/migrate.js';
import { checkServer } from '../../src/doctor/server.js';
import { serverAccount } from '../../src/embedded/account.js';
import { parsePosition } from '../../src/feed/log/position.js';
import { openStream } from '../event-stream.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { type Target, TcpProxy } from '../tcp-proxy.js';
import { until } from '../until.js';

/** Debian's PostgreSQL 15: the embedded one has no pg_basebackup (the soak copies that one's files). */
const BIN = '/usr/lib/postgresql/15/bin';
const installed = existsSync(join(BIN, 'pg_basebackup'));
// CI installs it, and must not pass without.
if (!installed && process.env.CI) throw new Error(`${BIN}/pg_basebackup is missing: apt-get install postgresql-15`);
if (!installed) console.warn(`Skipped, for ${BIN}/pg_basebackup is missing: apt-get install postgresql-15`);
const withPostgres15 = installed ? test : test.skip;

let server: TestServer;
let folder: string;
const proxies: TcpProxy[] = [];
const clusters: string[] = [];

beforeAll(async () => {
  server = await startTestServer();
  folder = await mkdtemp(join(tmpdir(), 'failover-'));
  const account = serverAccount();
  if (account) await chown(folder, account.uid, account.gid);
});

afterAll(async () => {
  for (const proxy of proxies) proxy.bury();
  await server.stop();
  for (const data of clusters) await run('pg_ctl', ['stop', '-D', data, '-m', 'immediate']).catch(() => {});
  for (const proxy of proxies) await proxy.close();
  await rm(folder, { recursive: true, force: true });
});

const run = (program: string, args: readonly string[]) =>
  promisify(execFile)(join(BIN, program), args, { ...serverAccount(), cwd: '/' });

async function start(data: string): Promise<Target> {
  const probe = createServer().listen(0, '127.0.0.1');
  await until(() => probe.address() !== null);
  const { port } = probe.address() as { port: number };
  probe.close();
  const settings = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off`;
  await run('pg_ctl', ['start', '-w', '-D', data, '-l', `${data}.log`, '-o', settings]);
  clusters.push(data);
  return { host: '127.0.0.1', port };
}

async function proxyTo(target: () => Target): Promise<TcpProxy> {
  const proxy = await TcpProxy.open(target);
  proxies.push(proxy);
  return proxy;
}

const urlOf = ({ port }: { port: number }) => `postgres://postgres@127.0.0.1:${port}/postgres`;

async function sql(target: Target, text: string): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: urlOf(target) });
  await client.connect();
  try {
    return await client.query(text);
  } finally {
    await client.end();
  }
}

withPostgres15(
  'a standby that lags is promoted: clients are told to refetch, and hear what it commits from then on',
  async () => {
    const [primaryData, standbyData] = [join(folder, 'primary'), join(folder, 'standby')];
    await run('initdb', ['-D', primaryData, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8']);
    const primary = await start(primaryData);
    const db = createDatabase(urlOf(primary));
    await migrateChangeFeed(db);
    await db.destroy();

    let current = primary;
    const way = await proxyTo(() => current);
    const replication = await proxyTo(() => primary);
    await run('pg_basebackup', ['-D', standbyData, '-R', '-c', 'fast', '-d', urlOf(replication)]);
    const standby = await start(standbyData);
    const looking = new pg.Client({ connectionString: urlOf(standby) });
    await looking.connect();
    expect(await checkServer(looking)).toContainEqual(
      expect.objectContaining({ level: 'fail', says: expect.stringContaining('it is a standby') }),
    );
    await looking.end();

    const other = await server.another({ databaseUrl: urlOf(way), readIntervalMs: 1000 });
    const authorization = { Authorization: `Bearer ${await server.token()}` };
    const open = (lastEventId?: string) =>
      openStream(`${other.url}/api/events?resources=*`, {
        ...authorization,
        ...(lastEventId && { 'Last-Event-ID': lastEventId }),
      });
    const stream = await open();
    await stream.clientId();
    await sql(primary, `select change_feed.emit('vorher')`);
    await stream.next(({ data }) => data.resource === 'vorher');
    const { rows } = await sql(primary, 'select pg_current_wal_lsn()::text as lsn');
    await until(async () => {
      const replayed = await sql(standby, `select pg_last_wal_replay_lsn() >= '${rows[0].lsn}' as caught_up`);
      return replayed.rows[0].caught_up === true;
    }, 'the standby to catch up');

    replication.goSilent({ allNew: true }); // from here on it lags
    for (let i = 0; i < 20; i += 1) await sql(primary, `select change_feed.emit('verloren')`);
    await until(() => stream.updates.filter((resource) => resource === 'verloren').length === 20);
    const future = stream.lastEventId() ?? '';

    way.goSilent();
    await run('pg_ctl', ['stop', '-D', primaryData, '-m', 'immediate']);
    await run('pg_ctl', ['promote', '-w', '-D', standbyData]);
    current = standby;
    const promoted = performance.now();
    await stream.next(({ data }) => data.reason === 'resync' && data.resource === 'vorher');
    await stream.next(({ data }) => data.reason === 'resync' && data.resource === 'verloren');
    // 5 s where the machine is not busy; a session that waits for a dead host would take minutes
    expect(performance.now() - promoted).toBeLessThan(20_000);

    const resuming = await open(future);
    expect((await resuming.next(({ event }) => event === 'connected')).data.resumed).toBe(false);
    await resuming.next(({ data }) => data.reason === 'resync' && data.resource === 'vorher');
    const before = stream.events.length;
    const written = await sql(standby, `select change_feed.emit('nachher'), pg_current_xact_id()::text as xid`);
    // The premise: what is written now has an id that the position counts as seen.
    expect(BigInt(written.rows[0].xid)).toBeLessThan(parsePosition(future)?.xmax ?? 0n);
    for (const each of [stream, resuming]) await each.next(({ data }) => data.resource === 'nachher');
    expect(stream.events.slice(before).filter(({ data }) => data.resource === 'verloren')).toEqual([]);
    stream.close();
    resuming.close();
  },
);
