import { setTimeout as delay } from 'node:timers/promises';
import type { Bench } from './bench.js';
import { residentBytes } from './processes.js';
import { Readers } from './readers.js';
import { printTable, round } from './report.js';
import { median } from './statistics.js';
import { allTargets, longTokenTarget, type Target } from './targets.js';

/** How long a server is left alone before its memory is read, in ms: garbage goes meanwhile. */
const REST_MS = 5000;

/** What an idle stream costs in resident memory, ours beside its peers. */
export const memory: Bench = {
  name: 'memory',
  about: 'resident memory of an idle stream: the growth of the process from 1,000 to 10,000 streams',
  run: async ({ postgres, scale }) => {
    const database = await postgres.createDatabase();
    await database.session.query(`create table gemessen (id int primary key, wert int);
      insert into gemessen values (1, 0); select change_feed.watch('gemessen')`);
    const streams = scale(9000, 1000);
    const rounds = scale(3, 1);
    const targets = [longTokenTarget(database), ...allTargets(database)];
    const costs = targets.map((): number[] => []);
    for (let turn = 0; turn < rounds; turn += 1) {
      for (const [place, target] of targets.entries()) costs[place]?.push(await memoryOfStream(target, streams));
    }
    printTable(
      ['server', 'kB of resident memory for a stream'],
      targets.map(({ name }, place) => [name, round(median(costs[place] ?? []) / 1000)]),
    );
    await database.drop();
  },
};

/** Measures the resident memory of a stream, in bytes: of so many more after the first thousand. */
export async function memoryOfStream(target: Pick<Target, 'start'>, count: number): Promise<number> {
  const server = await target.start();
  // The first thousand warm it: code that is compiled, and pools that are filled.
  const first = await Readers.open(1000, server.stream);
  await server.publish();
  await delay(REST_MS);
  const before = residentBytes(server.pid);
  const rest = await Readers.open(count, server.stream);
  await delay(REST_MS);
  await server.publish();
  await rest.until(({ told }) => told === count);
  await delay(REST_MS);
  const grown = residentBytes(server.pid) - before;
  await Promise.all([first.end(), rest.end()]);
  await server.stop();
  return grown / count;
}
