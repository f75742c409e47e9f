import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Bench } from './bench.js';
import type { BenchDatabase } from './database.js';
import { memoryOfStream } from './memory.js';
import { cpuTime } from './processes.js';
import { Readers } from './readers.js';
import { printTable, round } from './report.js';
import { median, medianRatio } from './statistics.js';
import { ourStream, startOurs } from './targets.js';

const EVERY_MS = 50;
const WHOLE = 'resources=gemessen';
const OWN_SCOPE = 'resources=gemessen%3Fmandant%3D{n}';
const ONE_SCOPE = 'resources=gemessen%3Fmandant%3D1';

/** Measures the cost of a change that concerns one of ten thousand clients, and the memory of a subscription to a scope. */
export const scopes: Bench = {
  name: 'scopes',
  about:
    'CPU of a change that concerns one of 10,000 clients, each in a scope of its own; memory of a stream with a scope',
  run: async ({ postgres, scale }) => {
    const database = await postgres.createDatabase();
    const many = scale(10_000, 500);
    await database.session.query(`create table gemessen (id int primary key, mandant int, wert int);
      insert into gemessen select i, i, 0 from generate_series(1, ${many}) i;
      select change_feed.watch('gemessen', scopes => '{mandant}')`);
    const settings = [
      { name: '10 clients, a scope each', count: 10, query: OWN_SCOPE, reached: 1 },
      { name: `${many} clients, a scope each`, count: many, query: OWN_SCOPE, reached: 1 },
      { name: `${many} clients of one scope`, count: many, query: ONE_SCOPE, reached: many },
      { name: `${many} clients of the table`, count: many, query: WHOLE, reached: many },
    ];
    const costs = settings.map((): number[] => []);
    for (let turn = 0; turn < scale(3, 1); turn += 1) {
      for (const [place, setting] of settings.entries()) {
        costs[place]?.push(
          await costOfChange(database, setting, setting.reached === 1 ? scale(200, 20) : scale(12, 4)),
        );
      }
    }
    printTable(
      ['', 'clients that receive a change', 'CPU of a change, ms', 'in relation to the first'],
      settings.map(({ name, reached }, place) => [
        name,
        String(reached),
        round(median(costs[place] ?? [])),
        place === 0 ? '' : round(medianRatio(costs[place] ?? [], costs[0] ?? [])),
      ]),
    );

    const resident = { table: [] as number[], scope: [] as number[] };
    const used = { table: [] as number[], scope: [] as number[] };
    for (let turn = 0; turn < scale(3, 1); turn += 1) {
      for (const [of, query] of [
        ['table', WHOLE],
        ['scope', OWN_SCOPE],
      ] as const) {
        resident[of].push(await memoryOfStream(targetOf(database, query), scale(9000, 1000)));
        used[of].push(await heapOfStream(database, query, scale(9000, 1000)));
      }
    }
    const row = (name: string, of: 'table' | 'scope') => [
      name,
      round(median(used[of]) / 1000),
      round(median(resident[of]) / 1000),
    ];
    printTable(
      ['an idle stream of', 'kB of the heap, garbage collected', 'kB of resident memory, with garbage'],
      [row('the table', 'table'), row('a scope of its own', 'scope')],
    );
    await database.drop();
  },
};

interface Setting {
  readonly count: number;
  readonly query: string;
  /** The clients that receive each change. */
  readonly reached: number;
}

/** @returns ms of the server's CPU for a change of one row, with all that it is told. */
async function costOfChange(
  database: BenchDatabase,
  { count, query, reached }: Setting,
  changes: number,
): Promise<number> {
  const server = await startOurs(database.url, 0);
  const readers = await Readers.open(count, await ourStream(server.port, query));
  const change = async (times: number) => {
    await readers.forget();
    for (let i = 0; i < times; i += 1) {
      await database.session.query('update gemessen set wert = wert + 1 where id = $1', [
        1 + (reached === 1 ? i % count : 0),
      ]);
      await delay(reached === 1 ? EVERY_MS : 8 * EVERY_MS);
    }
    await readers.until(({ events }) => events >= times * reached);
  };
  try {
    await change(5);
    await delay(1000);
    const before = cpuTime(server.pid);
    await change(changes);
    return (cpuTime(server.pid) - before) / changes / 1000;
  } finally {
    await readers.end();
    await server.stop();
  }
}

/** @returns bytes of the heap that a stream uses once garbage is collected: of so many more after the first thousand. */
async function heapOfStream(database: BenchDatabase, query: string, count: number): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-heap-'));
  const report = join(folder, 'report');
  const preload = new URL('./heap-report.js', import.meta.url).href;
  const server = await startOurs(database.url, undefined, { NODE_OPTIONS: `--import ${preload}`, HEAP_REPORT: report });
  const usedBytes = async () => {
    await rm(report, { force: true });
    process.kill(server.pid, 'SIGUSR2');
    for (;;) {
      const text = await readFile(report, 'utf8').catch(() => '');
      if (text.endsWith('\n')) return Number(text);
      await delay(50);
    }
  };
  const openMore = async (more: number) => {
    const readers = await Readers.open(more, await ourStream(server.port, query));
    await database.session.query(`select change_feed.emit('gemessen')`);
    await readers.until(({ told }) => told === more);
    return readers;
  };
  const first = await openMore(1000);
  const before = await usedBytes();
  const rest = await openMore(count);
  const grown = (await usedBytes()) - before;
  await Promise.all([first.end(), rest.end()]);
  await server.stop();
  await rm(folder, { recursive: true });
  return grown / count;
}

function targetOf(database: BenchDatabase, query: string) {
  return {
    start: async () => {
      const server = await startOurs(database.url);
      return {
        ...server,
        stream: await ourStream(server.port, query),
        publish: async () => {
          await database.session.query(`select change_feed.emit('gemessen')`);
        },
      };
    },
  };
}
