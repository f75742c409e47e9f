import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import pg from 'pg';
import { createDatabase } from '../../src/database/connection.js';
import { readHolder } from '../../src/database/embedded/holder.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/database/embedded-postgres.js';
import { migrateToLatest } from '../../src/database/migrate.js';
import { signToken } from '../../src/server/token.js';
import { until } from '../until.js';
import { type Habits, SoakClient } from './clients.js';
import { FAULTS, type Target, untilRecovered } from './faults.js';
import { judge, type Verdict } from './ledger.js';
import { Servers } from './servers.js';
import { TABLES, Writers } from './writers.js';

/** How long to write without faults, and between two faults, in ms: SOAK_MINUTES, or a short run. */
const MINUTES = Number(process.env.SOAK_MINUTES ?? 0);
const CALM_MS = MINUTES > 0 ? MINUTES * 30_000 : 8000;
const ROUNDS = MINUTES > 0 ? Math.max(1, Math.round(MINUTES / 3)) : 1;
const WRITERS = 8;
const SECRET = 'a secret of the soak, long enough for HS256';

const HABITS: readonly (readonly [string, Habits])[] = [
  ['steady', { steady: true }],
  ['steady', { steady: true }],
  ['steady', { steady: true }],
  ['restless', {}],
  ['restless', {}],
  ['restless', {}],
  ['often away', { awayMs: 3000 }],
  ['often away', { awayMs: 3000 }],
  ['forgetful', { forgetful: true }],
  ['forgetful', { forgetful: true }],
  ['slow', { pausesMs: 1000 }],
  ['slow', { pausesMs: 1000 }],
];

let dataDir: string;
let postgres: EmbeddedPostgres;
let servers: Servers;
let clients: SoakClient[];
let target: Target;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'soak-'));
  await chmod(dataDir, 0o711);
  const start = (port: number) =>
    startEmbeddedPostgres({ dataDir, port, settings: { max_connections: '200', max_wal_size: '4GB' } });
  postgres = await start(0);
  const db = createDatabase(postgres.url);
  await migrateToLatest(db);
  await db.destroy();
  await inDatabase(
    TABLES.map(
      (table) =>
        `create table ${table} (id int primary key, stand int not null default 0); select change_feed.watch('${table}');`,
    ).join(''),
  );
  servers = new Servers({ DATABASE_URL: postgres.url, JWT_SECRET: SECRET });
  for (let i = 0; i < 3; i += 1) await servers.start();
  target = {
    servers,
    databaseUrl: postgres.url,
    postgres: () => postgres,
    startAgain: async () => {
      postgres = await start(postgres.port);
    },
    postmasterPid: async () => (await readHolder(dataDir))?.postgresPid ?? 0,
  };
  const token = await signToken({ sub: 'soak', expiresInS: 86_400, secret: SECRET });
  clients = HABITS.map(([name, habits], i) => new SoakClient(`${name} ${i}`, servers.urls, token, habits));
  await until(() => clients.every(({ since }) => since < Number.POSITIVE_INFINITY), 'all clients to connect');
}, 60_000);

afterEach(async () => {
  await Promise.all(clients.map((client) => client.stop()));
  await servers.stop();
  await postgres.stop();
  await rm(dataDir, { recursive: true, force: true });
}, 60_000);

async function inDatabase(text: string): Promise<void> {
  const client = new pg.Client({ connectionString: postgres.url, application_name: 'soak' });
  await client.connect();
  await client.query(text);
  await client.end();
}

/** Writes while something is done, waits until every client has seen the end of it, and judges. */
async function during(work: () => Promise<void>): Promise<Verdict> {
  const writers = new Writers(postgres.url, WRITERS, 20);
  await work();
  await writers.stop();
  // An event of the end, until each has heard of it: one may be away, or be told of it by a resync.
  const fenced = performance.now();
  await until(async () => {
    await inDatabase(`select change_feed.emit('zaun')`);
    return clients.every(({ told }) => told.some(({ resource, at }) => resource === 'zaun' && at > fenced));
  }, 'the end to reach every client');
  // And once more, for who was just reconnecting when the last changes came: its replay is ordered.
  const verdict = judge(
    writers.written,
    clients.map((client) => client.account()),
  );
  expect(verdict.missed.slice(0, 5)).toEqual([]);
  expect(verdict.ghosts.slice(0, 5)).toEqual([]);
  expect(verdict.disorders.slice(0, 5)).toEqual([]);
  expect(servers.crashes).toEqual([]);
  expect(verdict.committed).toBeGreaterThan(500);
  return verdict;
}

function say(
  what: string,
  { committed, pairs, coveredByName, coveredByRefetch, coveredByResync, longestDelayMs }: Verdict,
): void {
  const share = (n: number) => `${((100 * n) / pairs).toFixed(2)} %`;
  process.stdout.write(
    `${what}: ${committed} changes, ${share(coveredByName)} by name, ${share(coveredByRefetch)} by refetch, ` +
      `${share(coveredByResync)} by resync, longest delay ${Math.round(longestDelayMs)} ms\n`,
  );
}

test(
  'without faults every committed change reaches every client, and nothing else does',
  async () => {
    const verdict = await during(() => delay(CALM_MS));
    say('calm', verdict);
    expect(verdict.coveredByResync / verdict.pairs).toBeLessThanOrEqual(0.01);
    expect(verdict.longestDelayMs).toBeLessThan(5000);
  },
  CALM_MS + 120_000,
);

test(
  'under faults every committed change reaches every client, or it is told to refetch',
  async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const { name, strike } of FAULTS) {
        for (const client of clients) client.told.length = 0;
        for (const client of clients) client.since = performance.now();
        const verdict = await during(async () => {
          await delay(500);
          await strike(target);
          await untilRecovered(target);
          await delay(1000);
        });
        say(name, verdict);
      }
    }
  },
  ROUNDS * FAULTS.length * 60_000,
);
