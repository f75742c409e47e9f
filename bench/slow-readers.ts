import type { Bench } from './bench.js';
import { connect } from './database.js';
import { residentBytes } from './processes.js';
import { Readers } from './readers.js';
import { printTable, round } from './report.js';
import { median } from './statistics.js';
import { ourStream, startOurs } from './targets.js';

/** Readers that stop reading, and what that costs the process and the others. */
export const slowReaders: Bench = {
  name: 'slow-readers',
  about: '1,000 of 1,100 readers stop reading while 10,000 changes pass',
  run: async ({ postgres, scale }) => {
    const database = await postgres.createDatabase();
    await database.session.query(`create table gemessen (id int primary key, wert int); insert into gemessen values (1, 0);
      select change_feed.watch('gemessen')`);
    const slow = scale(1000, 100);
    const changes = scale(10_000, 1000);
    const without = await pass(database.url, 0, changes);
    const beside = await pass(database.url, slow, changes);
    printTable(
      [
        'slow readers',
        'process memory for each, kB',
        'the others hear of a change after, ms (median)',
        'told when they read again',
      ],
      [
        ['0', '', round(without.median), ''],
        [String(slow), round(beside.bytesEach / 1000), round(beside.median), `${beside.told} of ${slow}`],
      ],
    );
    await database.drop();
  },
};

async function pass(url: string, slowCount: number, changes: number) {
  const server = await startOurs(url);
  const writer = await connect(url);
  const others = await Readers.open(100, await ourStream(server.port));
  const slow = slowCount > 0 ? await Readers.open(slowCount, await ourStream(server.port)) : undefined;
  await writer.query('update gemessen set wert = wert + 1');
  await others.until(({ told }) => told === 100);
  await slow?.pause();
  const before = residentBytes(server.pid);
  const times: number[] = [];
  for (let i = 0; i < changes; i += 1) {
    const probe = i % 100 === 99;
    if (probe) await others.forget();
    const sent = Date.now();
    await writer.query('update gemessen set wert = wert + 1');
    if (probe) times.push((await others.until(({ told }) => told === 100)).lastAt - sent);
  }
  const bytesEach = slowCount > 0 ? (residentBytes(server.pid) - before) / slowCount : 0;
  await slow?.forget();
  await slow?.resume();
  await writer.query('update gemessen set wert = wert + 1');
  const told = slow ? (await slow.until((report) => report.told === slowCount)).told : 0;
  await others.end();
  await slow?.end();
  await writer.end();
  await server.stop();
  return { median: median(times), bytesEach, told };
}
