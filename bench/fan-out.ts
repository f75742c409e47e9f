import { setTimeout as delay } from 'node:timers/promises';
import type { Bench } from './bench.js';
import { cpuTime } from './processes.js';
import { Readers } from './readers.js';
import { printTable, round } from './report.js';
import { median, medianRatio } from './statistics.js';
import { allTargets, frameworkTargets, type Target } from './targets.js';

const EVERY_MS = 400;

/** Measures the cost of one event for many readers: ours beside its peers, then in each framework. Each in turn, several rounds. */
export const fanOut: Bench = {
  name: 'fan-out',
  about: 'server CPU time for each event delivered to each of 10,000 readers, one event each 400 ms',
  run: async ({ postgres, scale }) => {
    const database = await postgres.createDatabase();
    await database.session.query(`create table gemessen (id int primary key, wert int);
      insert into gemessen values (1, 0); select change_feed.watch('gemessen')`);
    const readers = scale(10_000, 1000);
    const events = scale(12, 4);
    const rounds = scale(3, 1);
    const measured = async (targets: readonly Target[]) => {
      const costs = targets.map((): number[] => []);
      for (let turn = 0; turn < rounds; turn += 1) {
        for (const [place, target] of targets.entries()) costs[place]?.push(await measure(target, readers, events));
      }
      return targets.map(({ name }, place) => ({ name, costs: costs[place] ?? [] }));
    };
    const servers = await measured(allTargets(database));
    printTable(
      ['server', 'µs of CPU per delivered event', 'ours in relation to it'],
      servers.map(({ name, costs }, place) => [
        name,
        round(median(costs)),
        place === 0 ? '' : round(medianRatio(servers[0]?.costs ?? [], costs)),
      ]),
    );
    const frameworks = await measured(frameworkTargets(database));
    printTable(
      ['ours in', 'µs of CPU per delivered event', 'in relation to node:http'],
      frameworks.map(({ name, costs }, place) => [
        name,
        round(median(costs)),
        place === 0 ? '' : round(medianRatio(costs, frameworks[0]?.costs ?? [])),
      ]),
    );
    console.log(`${readers} readers, ${events} events a round, ${rounds} rounds; the server on a core of its own.\n`);
    await database.drop();
  },
};

/** @returns µs of the server's CPU for each event that reached a reader. */
async function measure(target: Target, count: number, events: number): Promise<number> {
  const server = await target.start(0);
  const readers = await Readers.open(count, server.stream);
  try {
    // Warm
    for (let i = 0; i < 3; i += 1) {
      await server.publish();
      await delay(EVERY_MS);
    }
    await readers.until(({ events: seen }) => seen >= 3 * count);
    await delay(1000);
    await readers.forget();
    const before = cpuTime(server.pid);
    for (let i = 0; i < events; i += 1) {
      await server.publish();
      await delay(EVERY_MS);
    }
    await readers.until(({ events: seen }) => seen >= events * count);
    return (cpuTime(server.pid) - before) / (events * count);
  } finally {
    await readers.end();
    await server.stop();
  }
}
