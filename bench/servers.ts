import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Bench, BenchContext } from './bench.js';
import type { BenchDatabase } from './database.js';
import { PostgresCpu } from './postgres-cpu.js';
import type { ServerProcess } from './processes.js';
import { openRawStream } from './raw-stream.js';
import { printTable, round } from './report.js';
import { median, percentile } from './statistics.js';
import { startOurs } from './targets.js';

/** A person's pace, of which there are many: writes a second. */
const WRITES_PER_S = 50;

/** The pause before a measurement, in ms: sessions are opened, servers compile their code, and Postgres keeps a plan from the sixth beat on. */
const WARM_MS = 15_000;
/** The time at rest that is measured, in seconds: as long as the longest period of a server's work. */
const REST_S = 60;

/** Measures the cost of further servers for the database, at rest and for each change, and how much later than the leader they are told. */
export const servers: Bench = {
  name: 'servers',
  about: `CPU of all of Postgres with 1 to 50 servers, at rest and with ${WRITES_PER_S} writes a second, and the followers' delay`,
  run: async (context) => {
    const database = await context.postgres.createDatabase();
    await database.session.query(`create table gemessen (id int primary key, wert int); insert into gemessen values (1, 0);
      select change_feed.watch('gemessen')`);
    const cpu = await PostgresCpu.of(database.session);
    const figures: Figures[] = [await measure(context, database, cpu, [])];
    const running: Running[] = [];
    for (const count of (process.env.BENCH_SERVERS ?? '1,5,20,50')
      .split(',')
      .map(Number)
      .slice(0, context.scale(4, 2))) {
      while (running.length < count) running.push(await open(database.url));
      figures.push(await measure(context, database, cpu, running));
    }
    for (const { socket, server } of running) {
      socket.destroy();
      await server.stop();
    }
    print(figures);
    await database.drop();
  },
};

interface Running {
  readonly server: ServerProcess;
  readonly socket: Socket;
  /** The time at which each change was received, by its key. */
  readonly received: number[];
}

interface Figures {
  readonly servers: number;
  /** ms of Postgres' CPU, and transactions, in a second without a write. */
  readonly rest: number;
  readonly transactions: number;
  /** ms of Postgres' CPU for a change, the writer's own part among them. */
  readonly change: number;
  /** The delays of followers behind the leader, in ms. */
  readonly delays: readonly number[];
  readonly missed: number;
}

async function open(url: string): Promise<Running> {
  const server = await startOurs(url);
  const received: number[] = [];
  const socket = await openRawStream(server.port, 'resources=gemessen');
  socket.on('data', (chunk) => {
    const now = performance.now();
    for (const [, keys] of chunk.toString().matchAll(/"operation":"insert","keys":\[([\d,]+)\]/g)) {
      for (const key of (keys ?? '').split(',')) received[Number(key)] = now;
    }
  });
  return { server, socket, received };
}

let lastKey = 1;

async function measure(
  { scale }: BenchContext,
  { session }: BenchDatabase,
  cpu: PostgresCpu,
  running: readonly Running[],
): Promise<Figures> {
  await delay(scale(WARM_MS, 3000));
  const seconds = scale(REST_S, 3);
  const before = { cpu: cpu.total(), transactions: await transactions(session) };
  await delay(seconds * 1000);
  const rest = (cpu.total() - before.cpu) / seconds;
  const made = ((await transactions(session)) - before.transactions) / seconds;

  const costs: number[] = [];
  const from = lastKey + 1;
  const writes = scale(10 * WRITES_PER_S, WRITES_PER_S);
  for (let round = 0; round < scale(3, 1); round += 1) {
    const start = cpu.total();
    const begun = performance.now();
    for (let i = 0; i < writes; i += 1) {
      lastKey += 1;
      await session.query('insert into gemessen values ($1, 0)', [lastKey]);
      await delay(begun + ((i + 1) * 1000) / WRITES_PER_S - performance.now());
    }
    await delay(500);
    costs.push((cpu.total() - start - (rest * (performance.now() - begun)) / 1000) / writes);
  }
  const { rows } = await session.query('select pid from change_feed.server_report where leads');
  const leader = running.find(({ server }) => server.pid === rows[0]?.pid);
  const delays: number[] = [];
  let missed = 0;
  for (const { received } of running) {
    for (let key = from; key <= lastKey; key += 1) {
      const [own, of] = [received[key], leader?.received[key]];
      if (own === undefined) missed += 1;
      else if (of !== undefined && received !== leader?.received) delays.push(own - of);
    }
  }
  return { servers: running.length, rest, transactions: made, change: median(costs), delays, missed };
}

async function transactions(session: BenchDatabase['session']): Promise<number> {
  const { rows } = await session.query(
    `select pg_stat_clear_snapshot(), xact_commit::float8 as commits from pg_stat_database where datname = current_database()`,
  );
  return rows[0].commits;
}

function print(figures: readonly Figures[]): void {
  const [alone] = figures as [Figures];
  printTable(
    [
      'servers',
      'at rest, ms of CPU a second',
      'for each server',
      'transactions a second, for each server',
      'ms of CPU for a change',
      'for each server beyond the first',
      'followers behind the leader, ms: p50',
      'p99',
      'not received by name',
    ],
    figures.map(({ servers, rest, transactions, change, delays, missed }) => {
      const first = figures[1];
      return [
        servers,
        round(rest),
        servers ? round((rest - alone.rest) / servers) : '',
        servers ? round((transactions - alone.transactions) / servers) : '',
        round(change),
        first && servers > 1 ? round((change - first.change) / (servers - first.servers)) : '',
        servers > 1 ? round(percentile(delays, 50)) : '',
        servers > 1 ? round(percentile(delays, 99)) : '',
        servers ? missed : '',
      ];
    }),
  );
}
