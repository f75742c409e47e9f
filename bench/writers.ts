import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Bench } from './bench.js';
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
    const database = await postgres.createDatabase();
    const { session } = database;
    for (const table of TABLES) {
      await session.query(`create table ${table} (id int primary key, wert int not null);
        insert into ${table} select g, 0 from generate_series(1, 100000) g`);
    }
    await session.query(`create function melden() returns trigger language plpgsql as
        $$ begin perform pg_notify('gemeldet', tg_table_name); return null; end $$;
      create trigger melden after update on gemeldet for each statement execute function melden();
      select change_feed.watch('beachtet')`);
    await age(database.url, scale(200_000, 1000));
    await session.query('vacuum analyze');
    const server = await startOurs(database.url);
    const readers = await Readers.open(100, await ourStream(server.port, 'resources=beachtet'));
    const rows: string[][] = [];
    for (const count of [1, 4, 16, 64].slice(0, scale(4, 2))) {
      const rates = await measure(database.url, count, scale(9, 2), scale(2, 1));
      const [plain, watched, notified] = TABLES.map((table) => rates.get(table) ?? []) as [
        number[],
        number[],
        number[],
      ];
      rows.push([
        String(count),
        ...[plain, watched, notified].map((values) => round(median(values))),
        round(medianRatio(watched, plain)),
        round(medianRatio(watched, notified)),
      ]);
    }
    printTable(
      ['writers', 'unwatched, tps', 'watched', 'pg_notify', 'watched / unwatched', 'watched / pg_notify'],
      rows,
    );
    await readers.end();
    await server.stop();
    await database.drop();
  },
};

/**
 * Updates each table as often: a new one has pages without room, where an update costs more, and the faster of two would
 * leave that state earlier.
 */
async function age(url: string, updates: number): Promise<void> {
  for (const table of TABLES) {
    await pgbench(url, table, 8, ['-t', String(updates / 8)], { PGOPTIONS: '-c synchronous_commit=off' });
  }
}

/** @returns transactions a second for each table, round by round. */
async function measure(url: string, count: number, rounds: number, seconds: number): Promise<Map<string, number[]>> {
  const rates = new Map<string, number[]>(TABLES.map((table) => [table, []]));
  for (let turn = 0; turn < rounds; turn += 1) {
    for (const table of TABLES) rates.get(table)?.push(await pgbench(url, table, count, ['-T', String(seconds)]));
  }
  return rates;
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
