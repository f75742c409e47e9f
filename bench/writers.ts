import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Bench } from './bench.js';
import type { BenchDatabase, BenchPostgres } from './database.js';
import { Readers } from './readers.js';
import { printTable, round } from './report.js';
import { median, medianRatio } from './statistics.js';
import { ourStream, startOurs } from './targets.js';

const TABLES = ['unbeachtet', 'beachtet', 'gemeldet'] as const;
const run = promisify(execFile);

/** What writers pay: the same updates of a table that nobody watches, of a watched one, and of one with pg_notify. */
export const writers: Bench = {
  name: 'writers',
  about:
    'pgbench, single-row updates, prepared, beside a live server with 100 readers; in relation to an unwatched table',
  run: async ({ postgres, scale }) => {
    const database = await prepare(postgres, scale(200_000, 1000));
    // Recording alone: what is missing to it is the server, the readers, and what they do to the CPU of the writers.
    const unserved = await prepare(postgres, scale(200_000, 1000));
    const server = await startOurs(database.url);
    const readers = await Readers.open(100, await ourStream(server.port, 'resources=beachtet'));
    const cases = [...TABLES.map((table) => ({ url: database.url, table })), { url: unserved.url, table: 'beachtet' }];
    const rows: string[][] = [];
    for (const count of [1, 4, 16, 64].slice(0, scale(4, 2))) {
      const rates = cases.map((): number[] => []);
      for (let turn = 0; turn < scale(9, 2); turn += 1) {
        for (const [place, { url, table }] of cases.entries()) {
          rates[place]?.push(await pgbench(url, table, count, ['-T', String(scale(2, 1))]));
        }
      }
      const [plain = [], watched = [], notified = [], alone = []] = rates;
      rows.push([
        String(count),
        ...[plain, watched, notified].map((values) => round(median(values))),
        round(medianRatio(watched, plain)),
        round(medianRatio(watched, notified)),
        round(medianRatio(alone, plain)),
      ]);
    }
    printTable(
      [
        'writers',
        'unwatched, tps',
        'watched',
        'pg_notify',
        'watched / unwatched',
        'watched / pg_notify',
        'watched, and no server runs / unwatched',
      ],
      rows,
    );
    await readers.end();
    await server.stop();
    await Promise.all([database.drop(), unserved.drop()]);
  },
};

/**
 * Makes a table for each kind, and updates each as often: a new one has pages without room, where an update costs more,
 * and the faster of two would leave that state earlier.
 */
async function prepare(postgres: BenchPostgres, updates: number): Promise<BenchDatabase> {
  const database = await postgres.createDatabase();
  const { session, url } = database;
  for (const table of TABLES) {
    await session.query(`create table ${table} (id int primary key, wert int not null);
      insert into ${table} select g, 0 from generate_series(1, 100000) g`);
  }
  await session.query(`create function melden() returns trigger language plpgsql as
      $$ begin perform pg_notify('gemeldet', tg_table_name); return null; end $$;
    create trigger melden after update on gemeldet for each statement execute function melden();
    select change_feed.watch('beachtet')`);
  for (const table of TABLES) {
    await pgbench(url, table, 8, ['-t', String(updates / 8)], { PGOPTIONS: '-c synchronous_commit=off' });
  }
  await session.query('vacuum analyze');
  return database;
}

/** @returns transactions a second. */
async function pgbench(url: string, table: string, count: number, options: string[], env = {}): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-writers-'));
  const script = join(folder, table);
  await writeFile(script, `\\set id random(1, 100000)\nupdate ${table} set wert = wert + 1 where id = :id;\n`);
  const fixed = ['-n', '-M', 'prepared', '-c', String(count), '-j', '2', '-f', script];
  const { stdout } = await run('pgbench', [...fixed, ...options, url], { env: { ...process.env, ...env } });
  await rm(folder, { recursive: true });
  return Number(/^tps = ([\d.]+)/m.exec(stdout)?.[1]);
}
