import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createDatabase } from '../../src/app/database.js';
import { migrateChangeFeed } from '../../src/database/migrate.js';
import { signToken } from '../../src/http/token.js';
import { until } from '../until.js';
import { type Habits, HEARTBEAT_S, SoakClient, topicsOf } from './clients.js';
import type { Fault, Target } from './fault.js';
import { MESSAGE_FAULTS } from './faults/messages.js';
import { NETWORK_FAULTS } from './faults/network.js';
import { POSTGRES_FAULTS } from './faults/postgres.js';
import { SERVER_FAULTS } from './faults/servers.js';
import { SESSION_FAULTS } from './faults/sessions.js';
import { judge, TENANTS, type Verdict } from './ledger.js';
import { SoakPostgres } from './postgres.js';
import { line, Report } from './report.js';
import { Servers } from './servers.js';
import { ServiceClient } from './service-client.js';
import { settle } from './settle.js';
import { TABLES, Writers } from './writers.js';

/** SOAK_MINUTES, or a short run. A third of a long one has no faults. */
const MINUTES = Number(process.env.SOAK_MINUTES ?? 0);
const LONG = MINUTES > 0;
/**
 * The longest that a change may take to every client, in ms. 5 s is promised, and held by a long soak, which has a machine
 * of its own; the short one shares it with whatever else the tests do.
 */
const LIMIT_MS = LONG ? 5000 : 20_000;
const CALM_STRETCHES = LONG ? Math.max(1, Math.round(MINUTES / 3)) : 1;
const CALM_MS = LONG ? 60_000 : 8000;
/** Before and after a fault, in ms. */
const SETTLE_MS = LONG ? 2000 : 500;
const FAULTS_MS = MINUTES * 40_000;
const WRITERS = { count: 8, pauseMs: 20 };
const SECRET = 'a secret of the soak, long enough for HS256';
/** Those whose names match SOAK_FAULTS, or all. */
const FAULTS = [...SESSION_FAULTS, ...POSTGRES_FAULTS, ...NETWORK_FAULTS, ...SERVER_FAULTS, ...MESSAGE_FAULTS].filter(
  ({ name }) => new RegExp(process.env.SOAK_FAULTS ?? '').test(name),
);

const HABITS: readonly (readonly [string, Habits])[] = [
  ['steady', { steadyAt: 0, toAll: true }],
  ['steady', { steadyAt: 1 }],
  ['steady', { steadyAt: 2 }],
  ['restless', { impatient: true }],
  ['restless', { toAll: true }],
  ['restless', {}],
  ['often away', { awayMs: 1500 }],
  ['often away', { awayMs: 1500 }],
  ['forgetful', { forgetful: true }],
  ['forgetful', { forgetful: true }],
  ['slow', { pausesMs: 1000 }],
  ['slow', { pausesMs: 1000 }],
  ['steady tenant', { steadyAt: 0, tenant: 1 }],
  ['steady tenant', { steadyAt: 1, tenant: 2, toAll: true }],
  ['restless tenant', { tenant: 1 }],
  ['slow tenant', { pausesMs: 1000, tenant: 3 }],
];

let postgres: SoakPostgres;
let servers: Servers;
let clients: SoakClient[];
let services: ServiceClient[];
let target: Target;
const report = new Report();

beforeAll(async () => {
  postgres = await SoakPostgres.start();
  const db = createDatabase(postgres.url);
  await migrateChangeFeed(db);
  await db.destroy();
  for (const table of TABLES) {
    await postgres.sql(`create table ${table} (id int primary key, stand int not null default 0,
        mandant int generated always as (id % ${TENANTS}) stored);
      select change_feed.watch('${table}', scopes => '{mandant}')`);
  }
  servers = new Servers(() => postgres.url, { JWT_SECRET: SECRET, HEARTBEAT_S: String(HEARTBEAT_S) });
  for (let i = 0; i < 3; i += 1) await servers.start();
  // Good for servers whose clocks are days wrong, too
  const tokenOf = (tenant?: number) =>
    signToken({
      sub: 'soak',
      expiresInS: 30 * 86_400,
      secret: SECRET,
      ...(tenant !== undefined && { resources: topicsOf(tenant) }),
    });
  clients = await Promise.all(
    HABITS.map(async ([name, habits], i) => {
      return new SoakClient(`${name} ${i}`, servers.urls, await tokenOf(habits.tenant), habits);
    }),
  );
  services = await Promise.all(
    [undefined, undefined, 1].map(async (tenant, i) => {
      return new ServiceClient(`browser ${i}`, servers.urls, await tokenOf(tenant), tenant);
    }),
  );
  for (const service of services) await service.start();
  await until(() => everybody().every(({ since }) => since < Number.POSITIVE_INFINITY), 'all clients to connect');
  target = { postgres, servers, clients, long: LONG };
});

afterAll(async () => {
  process.stdout.write(report.table());
  await Promise.all(everybody().map((client) => client.stop()));
  await servers.stop();
  await postgres.stop();
});

const everybody = () => [...clients, ...services];

/** Writes while something is done, waits until every client has seen the end of it, and judges. */
async function during(work: Omit<Fault, 'name'>): Promise<Verdict> {
  for (const client of everybody()) client.begin();
  const writers = new Writers(() => postgres.url, work.writers ?? WRITERS);
  try {
    await delay(SETTLE_MS);
    await work.strike(target, writers);
    await untilRecovered();
    await delay(SETTLE_MS);
  } finally {
    await writers.stop();
  }
  await untilToldOfEnd();
  const psql = await postgres.connect();
  const wrongs = work.prunes ? [] : await settle(writers.written, psql, work.mayLose === true);
  await psql.end();
  const verdict = judge(
    writers.written,
    everybody().map((client) => client.account()),
  );
  expect([...wrongs, ...verdict.wrongs].slice(0, 5)).toEqual([]);
  expect(servers.crashes).toEqual([]);
  return verdict;
}

/** Until all servers can read and hear. */
async function untilRecovered(): Promise<void> {
  const ready = async (url: string) => (await fetch(`${url}/readyz`).catch(() => undefined))?.status === 200;
  await until(
    async () => (await Promise.all(servers.urls().map(ready))).every((each) => each),
    'the recovery of all servers',
  );
}

/** An event of the end, until each client has heard of it: one may be away, or be told of it by a resync. */
async function untilToldOfEnd(): Promise<void> {
  const fenced = performance.now();
  const waiting = () =>
    everybody().filter((client) => !client.told.some(({ resource, at }) => resource === 'zaun' && at > fenced));
  let emitted = 0;
  await until(
    async () => {
      if (performance.now() - emitted > 300) {
        await postgres.sql(`select change_feed.emit('zaun')`);
        emitted = performance.now();
      }
      return waiting().length === 0;
    },
    () => `the end to reach every client: ${waiting().map(({ name }) => name)}`,
  );
}

test(
  'without faults every committed change reaches every client, and nothing else does',
  async () => {
    for (let stretch = 0; stretch < CALM_STRETCHES; stretch += 1) {
      const verdict = await during({ strike: () => delay(CALM_MS) });
      report.add('none', verdict);
      process.stdout.write(line('no fault', verdict));
      expect(verdict.committed).toBeGreaterThan(1000);
      expect(verdict.coveredByResync / verdict.pairs).toBeLessThanOrEqual(0.01);
      expect(verdict.longestDelayMs).toBeLessThan(LIMIT_MS);
    }
  },
  CALM_STRETCHES * (CALM_MS + 60_000),
);

test(
  'under faults every committed change reaches every client, or it is told to refetch',
  async () => {
    const end = performance.now() + FAULTS_MS;
    const failures: string[] = [];
    for (let i = 0; i < FAULTS.length || performance.now() < end; i += 1) {
      const fault = FAULTS[i % FAULTS.length] as Fault;
      // One that fails is no reason not to see the others.
      await judgeFault(fault).catch((error: Error) => failures.push(`${fault.name}: ${error.message}`));
    }
    expect(failures).toEqual([]);
  },
  FAULTS_MS + 2 * FAULTS.length * 60_000,
);

async function judgeFault(fault: Fault): Promise<void> {
  const verdict = await during(fault);
  report.add(fault.name, verdict);
  process.stdout.write(line(fault.name, verdict));
  expect(verdict.committed).toBeGreaterThan(5);
  expect(verdict.longestDelayMs).toBeLessThan(Math.max(fault.limitMs ?? 0, LIMIT_MS));
}
